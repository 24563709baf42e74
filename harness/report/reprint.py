"""A table of a paper with a suite's values in it: rows, columns and headers as printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from harness.cells import Cell, Cells, DatasetEntry
from harness.core.errors import HarnessError, did_you_mean
from harness.papers import KEYS, PrintedTable, PrintedValue, printed_table
from harness.papers.tables import PrintedColumn, PrintedRow
from harness.papers.values import AVERAGE
from harness.report.binding import MEASURED, Binding, mode_of, require_results, unfit
from harness.report.cell_facets import CellFacets
from harness.report.evidence import Evidence
from harness.report.facets import Mode
from harness.report.gains import gain_entry
from harness.report.layout import name_of
from harness.report.measure import counted_outcomes, measure
from harness.report.notes import notes_of
from harness.report.pivot import entry_of
from harness.report.reprint_notes import reprint_notes
from harness.report.selection import Filters, filters_of, mixture
from harness.report.summaries import mean_entry
from harness.report.table import BLANK, Entry, Printed, Row, Run, Table
from harness.report.words import GAIN
from harness.spec import Denominator, TableSpec


@dataclass(frozen=True)
class Reprint:
    """A printed table as asked for, nothing left open."""

    name: str
    """File name, without suffix."""
    title: str
    """Heading and caption."""
    printed: PrintedTable
    """The paper's."""
    rows: tuple[PrintedRow, ...]
    """Those of its rows that are wanted."""
    denominator: Denominator
    """Which samples a rate counts."""
    mode: Mode
    """Which cells."""
    where: Filters
    """Further filters: facet to accepted values."""

    @property
    def place(self) -> str:
        """How errors refer to the table."""
        return f'table "{self.name}"'

    @property
    def values(self) -> tuple[PrintedValue, ...]:
        """The numbers of its rows."""
        wanted = {row.row for row in self.rows}
        return tuple(value for value in self.printed.values if value.row in wanted)


def resolve_reprint(table: TableSpec, number: int = 1) -> Reprint:
    """Fill in the defaults of a table with a `reference`.

    Raises:
        HarnessError: when there is no such printed table, none that suites can fill, or no such part of it.
    """
    assert table.reference is not None, "tables without a reference have a layout of their own"
    name = name_of(table, number)
    try:
        printed = printed_table(table.reference)
        require_results(printed)
        rows = tuple(_rows(printed, table.part))
    except HarnessError as error:
        raise HarnessError(f'table "{name}": {error}') from None
    return Reprint(
        name=name,
        title=table.title or f"{printed.citation}: {printed.caption}",
        printed=printed,
        rows=rows,
        denominator=table.denominator or "all",
        mode=mode_of(printed.values),
        where=filters_of(table.where),
    )


def bind(layout: Reprint, cells: Cells) -> dict[PrintedValue, tuple[Cell, ...]]:
    """The cells of every printed number, or of what it is made of; none where the suite has nothing of the kind.

    Raises:
        HarnessError: when the suite has none of them, or a number would mix different questions.
    """
    facets = CellFacets(cells, layout.mode)
    binding = Binding(cells, facets, layout.where, layout.place)
    values = layout.values
    bound = {one: binding.cells_of(one, values) for value in values for one in value.operands}
    if not any(bound.values()):
        raise HarnessError(f"{layout.place}: no cell fits {layout.printed.citation}: {unfit(values, cells)}")
    for value, found in bound.items():
        if value.target != AVERAGE and (mixed := mixture(found, facets, ())):
            raise HarnessError(
                f"{layout.place}: row {value.row} would mix several values of {mixed.facet}: "
                f"{', '.join(mixed.texts)}.\n     choose one with {mixed.filter}, or tell them apart with `paper`"
            )
    return bound


def reprint(layout: Reprint, evidence: Evidence) -> Table:
    """Measure what a printed table prints and lay it out in the same way. Raises HarnessError like `bind`."""
    return fill(layout, evidence, bind(layout, evidence.cells))


def fill(layout: Reprint, evidence: Evidence, bound: dict[PrintedValue, tuple[Cell, ...]]) -> Table:
    """A printed table in its own layout, every number measured on the cells that are bound to it."""
    filling = _Filling(layout, evidence, bound)
    printed = layout.printed
    table = Table(
        name=layout.name,
        title=layout.title,
        metric=MEASURED[layout.values[-1].metric],
        denominator=layout.denominator,
        row_headers=printed.row_headers,
        column_headers=("",) * len(printed.headers[0]),
        columns=printed.headers,
        rows=tuple(filling.rows()),
        reference=printed.reference,
    )
    noted = notes_of(table, evidence)
    return replace(noted, notes=(*noted.notes, *reprint_notes(noted, evidence)))


def _rows(printed: PrintedTable, part: dict[str, str]) -> Iterator[PrintedRow]:
    """The rows with the keys of `part`. Raises HarnessError when there are none."""
    left = list(printed.values)
    for key, wanted in part.items():
        if key not in KEYS:
            raise HarnessError(f'part: printed numbers have no key "{key}".\n     {did_you_mean(key, KEYS)}')
        known = {str(getattr(value, key)) for value in left} - {""}
        left = [value for value in left if value.has(key, wanted)]
        if not left:
            raise HarnessError(f'part: {printed.citation} has no {key} "{wanted}".\n     {did_you_mean(wanted, known)}')
    numbers = {value.row for value in left}
    yield from (row for row in printed.rows if row.row in numbers)


@dataclass(frozen=True)
class _Filling:
    """Puts measurements in the places of a printed table."""

    layout: Reprint
    evidence: Evidence
    bound: dict[PrintedValue, tuple[Cell, ...]]

    def rows(self) -> Iterator[Row]:
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
        data = _whole(self.evidence.data(cell))
        return Run(cell, at, metric, *measure(cell, metric, self.layout.denominator, data, self.evidence))

    def _counted(self, run: Run) -> pd.DataFrame:
        data = _whole(self.evidence.data(run.cell))
        counted = counted_outcomes(run.cell, run.metric, self.layout.denominator, data, self.evidence)
        assert isinstance(counted, pd.DataFrame), "only runs with an estimate are asked for their samples"
        return counted


def _whole(data: DatasetEntry) -> DatasetEntry:
    """A data set of which all images count: what the suite keeps for its own tables is not what the paper counts."""
    return data if data.keep == "all" else data.model_copy(update={"keep": "all"})


def _mean(entries: list[Entry]) -> Entry:
    """The mean over the other entries of a row, which a suite has only if it has all of them."""
    if any(entry.missing == "not in the suite" for entry in entries):
        return Entry(entries[0].metric, None, missing="not in the suite")
    return mean_entry(entries, entries[0].metric)
