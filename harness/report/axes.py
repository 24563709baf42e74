"""The axes of a table: which facets make rows and columns, and among which entries the best is marked."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

from harness.core.errors import HarnessError, did_you_mean
from harness.report.facets import (
    Mode,
    about_attacks,
    check_average,
    free_facets,
    known_facets,
    mode_of,
    require,
    sections_of,
)
from harness.report.relation import MEANS_OVER
from harness.report.words import MEANS, METRIC_WORDS
from harness.spec import Suite, TableSpec

MEAN, SPREAD, AGREEMENT = "mean", "spread", "agreement"

SUMMARIES = {
    MEAN: "Mean",
    "mean.black-box": "Mean, black-box",
    "mean.white-box": "Mean, white-box",
    "mean.same-architecture": "Mean, same architecture",
    "mean.other-architecture": "Mean, other architectures",
    SPREAD: "Spread",
    AGREEMENT: "Agreement",
}
"""The last entries of columns, which sum up the row, with their headers."""


class Axes(NamedTuple):
    """What stands where in a table."""

    rows: tuple[str, ...]
    """Facets that make rows."""
    columns: tuple[str, ...]
    """Facets that make columns, outermost first."""
    summaries: tuple[str, ...]
    """Which of SUMMARIES follow as last columns."""


def axes_of(table: TableSpec, mode: Mode | None, free: Iterable[str]) -> Axes:
    """The facets that make rows, those that make columns, and what sums up the row; `free` as in `known_facets`.

    Raises:
        HarnessError: for an unknown or repeated facet, an empty axis, or a summary that cannot be.
    """
    summaries = tuple(takewhile(SUMMARIES.__contains__, reversed(table.columns)))[::-1]
    rows, columns = tuple(table.rows), tuple(table.columns[: len(table.columns) - len(summaries)])
    axes = rows + columns
    for name in SUMMARIES:
        if name in axes:
            raise HarnessError(f'"{name}" can only stand at the end of columns')
    if not rows or not columns:
        raise HarnessError('rows and columns each need a facet, such as rows = ["attack"]')
    known = known_facets(mode, free)
    for facet in (*axes, *table.where):
        require(facet, known, also=SUMMARIES if facet in columns else ())
    for name in (*axes, *summaries):
        if (axes + summaries).count(name) > 1:
            raise HarnessError(f'facet "{name}" is named twice in rows and columns')
    check_average(table.average, axes, known)
    if mode in ("clean", "whitebox") and (relations := [name for name in summaries if name in MEANS_OVER]):
        raise HarnessError(f'"{relations[0]}" needs a transfer table: here no image comes from another model')
    if table.clean and not any(about_attacks(facet, mode) for facet in axes):
        raise HarnessError('clean = true needs a place for it.\n     add "attack" to rows or columns')
    if AGREEMENT in summaries and "dataset" in columns:
        raise HarnessError(
            '"agreement" compares image by image, which data sets cannot be.\n     move "dataset" to rows'
        )
    return Axes(rows, columns, summaries)


def among_of(table: TableSpec, axes: Axes) -> tuple[str, ...]:
    """The facets in which the entries of a group differ, of which the best is marked; none where it is not.

    Raises:
        HarnessError: for a facet that the table does not show, or entries that no paired test compares.
    """
    if table.best is None:
        return ()
    if table.value in MEANS:
        raise HarnessError(
            f"best: paired tests compare rates, and {METRIC_WORDS[table.value]} is none.\n"
            "     leave out best and among, or show a rate"
        )
    among, shown = tuple(table.among) or axes.rows[-1:], axes.rows + axes.columns
    for facet in among:
        if facet not in shown:
            raise HarnessError(f'among: "{facet}" makes no rows or columns.\n     {did_you_mean(facet, shown)}')
    if "dataset" in among:
        raise HarnessError(
            "among: the best is found image by image, and data sets share no images.\n"
            '     name other facets of rows or columns, such as among = ["model"]'
        )
    return among


def check_table(table: TableSpec, suite: Suite) -> None:
    """Raise HarnessError for what is wrong with a table, as far as the suite file alone can tell."""
    mode = mode_of(table, (*table.rows, *table.columns), sections_of(suite))
    among_of(table, axes_of(table, mode, free_facets(suite)))
