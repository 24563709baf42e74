"""Measurements in the places of a printed table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from harness.cells import Cell
from harness.papers import PrintedValue
from harness.papers.tables import PrintedColumn, PrintedRow
from harness.papers.values import AVERAGE
from harness.report.binding import MEASURED
from harness.report.evidence import Evidence
from harness.report.gains import gain_entry
from harness.report.measure import counted_outcomes, measure
from harness.report.notes import notes_of
from harness.report.pivot import entry_of
from harness.report.reprint import Reprint, bind
from harness.report.reprint_notes import reprint_notes
from harness.report.summaries import mean_entry
from harness.report.table import BLANK, Entry, Printed, Row, Run, Table
from harness.report.words import GAIN


def reprint(layout: Reprint, evidence: Evidence) -> Table:
    """Measure what a printed table prints and lay it out in the same way. Raises HarnessError like `bind`."""
    return fill(layout, evidence, bind(layout, evidence.cells))


def fill(layout: Reprint, evidence: Evidence, bound: dict[PrintedValue, tuple[Cell, ...]]) -> Table:
    """A printed table in its own layout, every number measured on the cells that are bound to it."""
    filling = Filling(layout, evidence, bound)
    printed = layout.printed
    table = Table(
        name=layout.name,
        title=layout.title,
        metric=MEASURED[layout.values[-1].metric],
        denominator=layout.denominator,
        row_headers=printed.stub,
        column_headers=("",) * len(printed.headers[0]),
        columns=printed.headers,
        rows=tuple(filling.rows()),
        reference=printed.reference,
    )
    noted = notes_of(table, evidence)
    return replace(noted, notes=(*noted.notes, *reprint_notes(noted, evidence)))


@dataclass(frozen=True)
class Filling:
    """Puts measurements in the places of a printed table."""

    layout: Reprint
    evidence: Evidence
    bound: dict[PrintedValue, tuple[Cell, ...]]

    def rows(self) -> Iterator[Row]:
        """The rows, with headings and rules as printed."""
        printed, group = self.layout.printed, ""
        for row in self.layout.rows:
            heading = row.group if printed.group_lines and row.group != group else ""
            group = row.group
            below = row.row in printed.rules and row is not self.layout.rows[-1]
            yield Row(row.labels, tuple(self._entries(row)), heading, below)

    def _entries(self, row: PrintedRow) -> list[Entry]:
        places = [(column, self.layout.printed.at(row, column)) for column in self.layout.printed.columns]
        entries = [self._place(row, column, values) for column, values in places]
        means = [values and values[0].target == AVERAGE for _, values in places]
        others = [entry for entry, mean in zip(entries, means, strict=True) if not mean]
        return [
            replace(_mean(others), printed=entry.printed) if mean else entry
            for entry, mean in zip(entries, means, strict=True)
        ]

    def _place(self, row: PrintedRow, column: PrintedColumn, values: tuple[PrintedValue, ...]) -> Entry:
        if not values:
            return replace(BLANK, blank=self.layout.printed.text(row, column))
        whole = self.layout.printed.text(row, column)
        at = {"row": " ".join(filter(None, (row.group, *row.labels))), "column": column.label}
        parts = [
            replace(self._entry(value, at), printed=Printed(value.value if len(values) > 1 else whole, value))
            for value in values
        ]
        return replace(parts[0], joined=tuple(parts[1:]), join=column.join)

    def _entry(self, value: PrintedValue, at: dict[str, str]) -> Entry:
        metric, groups = MEASURED[value.metric], [self.bound[one] for one in value.operands]
        if not all(groups) or value.target == AVERAGE:
            return Entry(metric, None, missing="not in the suite")
        runs = [
            [self._run(cell, MEASURED[one.metric], at) for cell in cells]
            for one, cells in zip(value.operands, groups, strict=True)
        ]
        if metric == GAIN:
            changed, base = runs
            return gain_entry(changed, base, self._counted)
        return entry_of(runs[0], metric)

    def _run(self, cell: Cell, metric: str, at: dict[str, str]) -> Run:
        data = self.evidence.data(cell).whole
        return Run(cell, at, metric, *measure(cell, metric, self.layout.denominator, data, self.evidence))

    def _counted(self, run: Run) -> pd.DataFrame:
        data = self.evidence.data(run.cell).whole
        counted = counted_outcomes(run.cell, run.metric, self.layout.denominator, data, self.evidence)
        assert isinstance(counted, pd.DataFrame), "only runs with an estimate are asked for their samples"
        return counted


def _mean(entries: list[Entry]) -> Entry:
    """The mean over the other entries of a row, which a suite has only if it has all of them."""
    if any(entry.missing == "not in the suite" for entry in entries):
        return Entry(entries[0].metric, None, missing="not in the suite")
    return mean_entry(entries, entries[0].metric)
