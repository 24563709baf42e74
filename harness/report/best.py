"""The best entries of a table: of every group the greatest or the smallest, and those not significantly worse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from harness.cells import Cell
from harness.metrics.averages import scores_in_common
from harness.metrics.paired import compare_means
from harness.metrics.sign_tests import LEVEL, holm
from harness.report.arrange import Arrangement
from harness.report.layout import Layout
from harness.report.table import Entry, Row
from harness.spec import Best

Counted = Callable[[Cell, str], pd.DataFrame]
"""A finished cell and a metric to the samples that count."""

Place = tuple[int, int]
"""Row and column."""


def mark_best(rows: Sequence[Row], arrangement: Arrangement, layout: Layout, counted: Counted) -> tuple[Row, ...]:
    """The rows of a table, every entry that has others to be compared with marked as among the best or not."""
    if layout.best is None:
        return tuple(rows)
    marks: dict[Place, bool] = {}
    for group in _groups(rows, arrangement, layout):
        marks |= best_of(group, layout.best, counted)
    return tuple(
        replace(row, entries=tuple(replace(entry, best=marks.get((i, j))) for j, entry in enumerate(row.entries)))
        for i, row in enumerate(rows)
    )


def _groups(rows: Sequence[Row], arrangement: Arrangement, layout: Layout) -> Iterable[Mapping[Place, Entry]]:
    """The entries with a number that agree in all facets but those of `among`, and in what they measure on what data.

    Clean accuracies have a part beside robust ones only: beside errors, the best of them would be the worst.
    """
    groups: dict[tuple[str, ...], dict[Place, Entry]] = {}
    for i, (row, row_key) in enumerate(zip(rows, arrangement.rows, strict=True)):
        # Columns that sum up the row stand behind those of the arrangement.
        for j, (entry, column_key) in enumerate(zip(row.entries, arrangement.columns, strict=False)):
            if entry.estimate and (entry.metric == layout.value or layout.value == "robust_accuracy"):
                texts = zip(layout.rows + layout.columns, row_key + column_key, strict=True)
                shared = (text for facet, text in texts if facet not in layout.among)
                groups.setdefault((entry.metric, entry.runs[0].cell.dataset, *shared), {})[i, j] = entry
    return groups.values()


def best_of(group: Mapping[Place, Entry], best: Best, counted: Counted) -> dict[Place, bool]:
    """Which entries of a group have the best value, or do not differ from it significantly for the worse.

    P values are adjusted for all pairs of the group (Holm), tested or not: which entry is best is only known
    afterwards, so that any pair might have been the one to test. Places with the same cells count as one.

    Returns:
        A mark per place; none where there is nothing to compare with.
    """
    names = {place: tuple(run.cell.id for run in entry.runs) for place, entry in group.items()}
    distinct = {names[place]: entry for place, entry in group.items()}
    if len(distinct) < 2:
        return {}
    first = (max if best == "greatest" else min)(distinct.values(), key=_value)
    others = {name: entry for name, entry in distinct.items() if _value(entry) != _value(first)}
    chances = [_chance(first, entry, counted) for entry in others.values()]
    pairs = len(distinct) * (len(distinct) - 1) // 2
    adjusted = holm([*chances, *[1.0] * (pairs - len(chances))])
    worse = {name for name, chance in zip(others, adjusted, strict=False) if chance <= LEVEL}
    return {place: name not in worse for place, name in names.items()}


def _value(entry: Entry) -> float:
    assert entry.estimate, "only entries with a number are in a group"
    return entry.estimate.value


def _chance(first: Entry, other: Entry, counted: Counted) -> float:
    """The p value of the paired test that claims use; 1 where the images that count in both differ the other way."""
    one, two = ([run.cell for run in entry.runs if run.estimate] for entry in (first, other))
    shared = scores_in_common([counted(cell, first.metric) for cell in one + two], first.metric)
    if not len(shared):
        return 1.0
    judged = shared.to_numpy(dtype=bool)
    means = compare_means(judged[:, : len(one)], judged[:, len(one) :])
    return means.p_value if means.difference * (_value(first) - _value(other)) > 0 else 1.0
