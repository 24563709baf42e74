"""A table of a paper with a suite's values in it: rows, columns and headers as printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.cells import Cell, Cells
from harness.core.errors import HarnessError, did_you_mean
from harness.papers import KEYS, PrintedTable, PrintedValue, printed_table
from harness.papers.tables import PrintedRow
from harness.papers.values import AVERAGE
from harness.report.binding import Binding, mode_of, require_results, unfit
from harness.report.cell_facets import CellFacets
from harness.report.facets import Mode
from harness.report.layout import name_of
from harness.report.selection import Filters, filters_of, mixture
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
