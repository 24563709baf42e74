"""Facets: the words by which tables sort and filter cells, each with one meaning.

`model` is the judged model of a white-box table; a transfer table says `surrogate` or `target` instead. `facts.KEY` is
a free column of the suite file, of the surrogate in a transfer table and of the model in a white-box one. `norm` is the
norm of the threat model; `model.norm`, `surrogate.norm` and `target.norm` are the detected normalization layers.
`attack.facts.KEY` is a free column of the attacks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import takewhile
from typing import Literal, NamedTuple

from harness.cells import Cells
from harness.core.errors import HarnessError, did_you_mean
from harness.spec import Suite, TableSpec

Mode = Literal["whitebox", "transfer"]

MEAN, SPREAD, AGREEMENT = SUMMARIES = ("mean", "spread", "agreement")
"""The last entries of columns, which sum up the row."""

FACTS, ATTACK_FACTS = "facts.", "attack.facts."
"""How the free columns of models and of attacks begin."""

HEADERS = {
    "model": "Model", "surrogate": "Surrogate", "target": "Target", "attack": "Attack", "threat": "Threat model",
    "epsilon": "ε", "norm": "Norm", "dataset": "Data", "seed": "Seed", "mode": "Mode",
    "model.norm": "Normalization", "surrogate.norm": "Surrogate norm.", "target.norm": "Target norm.",
}  # fmt: skip
"""How facets are called in tables, unless a suite says otherwise."""

OF_ATTACKS = frozenset({"attack", "threat", "epsilon", "norm", "seed", "mode"})
"""Facets that say nothing about a clean cell: a clean accuracy stands beside all their values."""


def about_attacks(facet: str, mode: Mode | None) -> bool:
    """Whether a facet describes the attack, surrogate included, and not the judged model or the data."""
    if facet in OF_ATTACKS or facet.startswith(ATTACK_FACTS):
        return True
    return mode != "whitebox" and facet.startswith(("surrogate", FACTS))


def free_facets(suite: Suite | Cells) -> list[str]:
    """The facets that a suite's models and attacks bring with their facts."""
    of_models = [FACTS + key for model in suite.models for key in model.facts]
    of_attacks = [ATTACK_FACTS + key for attack in suite.attacks for key in attack.facts]
    return list(dict.fromkeys(of_models + of_attacks))


def known_facets(mode: Mode | None, free: Iterable[str]) -> list[str]:
    """Every facet that a table of a mode may use; `free` are those that the suite brings itself."""
    only_whitebox = () if mode == "whitebox" else ("model", "model.norm")
    return [*(name for name in HEADERS if name not in only_whitebox), *free]


def mode_of(table: TableSpec, sections: Collection[str]) -> Mode | None:
    """Which cells a table shows; None for both, when the mode itself is a facet.

    Raises:
        HarnessError: when the suite lacks the section.
    """
    if table.mode and sections and table.mode not in sections:
        raise HarnessError(f'mode = "{table.mode}", but the suite has no section [{table.mode}].\n     add the section')
    if table.mode or "mode" in (*table.rows, *table.columns):
        return table.mode
    if len(set(sections)) == 1:
        return "whitebox" if "whitebox" in sections else "transfer"
    return "transfer" if table.value == "attack_success_rate" else "whitebox"


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
        _require(facet, known, also=SUMMARIES if facet in columns else ())
    for name in (*axes, *summaries):
        if (axes + summaries).count(name) > 1:
            raise HarnessError(f'facet "{name}" is named twice in rows and columns')
    if table.clean and not any(about_attacks(facet, mode) for facet in axes):
        raise HarnessError('clean = true needs a place for it.\n     add "attack" to rows or columns')
    if AGREEMENT in summaries and "dataset" in columns:
        raise HarnessError(
            '"agreement" compares image by image, which data sets cannot be.\n     move "dataset" to rows'
        )
    return Axes(rows, columns, summaries)


def check_table(table: TableSpec, suite: Suite) -> None:
    """Raise HarnessError for what is wrong with a table, as far as the suite file alone can tell."""
    sections = [name for name in ("whitebox", "transfer") if getattr(suite, name) is not None]
    axes_of(table, mode_of(table, sections), free_facets(suite))


def _require(facet: str, known: list[str], also: Iterable[str]) -> None:
    if facet in known:
        return
    if facet in ("model", "model.norm"):
        fixes = (facet.replace("model", "surrogate"), facet.replace("model", "target"))
        raise HarnessError(f'"{facet}" means nothing in a transfer table.\n     write {" or ".join(fixes)}')
    raise HarnessError(f'facet "{facet}" is not known.\n     {did_you_mean(facet, [*known, *also])}')
