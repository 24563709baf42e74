"""How the papers lay their tables out."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

from harness.core.errors import HarnessError, did_you_mean
from harness.core.validation import Closed
from harness.papers.values import PrintedValue, every_value


class Paper(NamedTuple):
    """A paper."""

    short: str
    """How it is cited."""
    title: str
    """Its title."""


PAPERS = {
    "benz2021": Paper(
        "Benz et al. 2021", "Batch normalization increases adversarial vulnerability and decreases adversarial "
        "transferability: A non-robust feature perspective",
    ),
    "awais2020": Paper("Awais et al. 2020", "Towards an adversarially robust normalization approach"),
    "walter2022": Paper("Walter et al. 2022", "On fragile features and batch normalization in adversarial training"),
}  # fmt: skip
"""The papers whose numbers are known."""


class PrintedRow(Closed):
    """A row of a printed table."""

    row: int
    """Counted from 1."""
    labels: tuple[str, ...]
    """One per row header."""
    group: str = ""
    """The rows that it belongs to."""


class PrintedColumn(Closed):
    """A column of a printed table."""

    label: str
    """Its header."""
    match: dict[str, str]
    """Keys of its numbers."""
    parts: tuple[str, ...] = ()
    """Metrics that stand in one place; empty for a single number."""
    join: str = ""
    """What stands between them."""


class PlaceText(Closed):
    """What a place prints instead of its number."""

    row: int
    """Its row."""
    col: str
    """Label of its column."""
    text: str
    """Such as "100*"."""


class PrintedTable(Closed):
    """The layout of a printed table."""

    paper: str
    """benz2021, awais2020 or walter2022."""
    table: str
    """Its number."""
    aliases: tuple[str, ...] = ()
    """Its number in other copies of the paper."""
    kind: Literal["results", "settings"]
    """settings: no results, but what was used."""
    caption: str
    """What it shows, in our words."""
    row_headers: tuple[str, ...]
    """How its leading columns are called."""
    column_axis: str = ""
    """What its columns are, where that is printed."""
    header_lines: tuple[tuple[str, ...], ...] = ()
    """Lines of the header, the last row header first, where it has several."""
    group_lines: bool = False
    """Whether each group is printed as a line above its rows."""
    rules: tuple[int, ...] = ()
    """Rows below which there is a line."""
    rows: tuple[PrintedRow, ...] = ()
    """From top to bottom."""
    columns: tuple[PrintedColumn, ...] = ()
    """From left to right."""
    printed: tuple[PlaceText, ...] = ()
    """Places that print another text than their number."""
    blanks: tuple[PlaceText, ...] = ()
    """Places without a number."""
    settings_columns: tuple[str, ...] = ()
    """Headers of a table of settings."""
    settings_rows: tuple[tuple[str, ...], ...] = ()
    """Its rows: row header, then a text per column."""
    note: str = ""
    """What to know about it."""

    @property
    def reference(self) -> str:
        """How suites refer to it, such as "benz2021/4"."""
        return f"{self.paper}/{self.table}"

    @property
    def citation(self) -> str:
        """How reports refer to it, such as "Benz et al. 2021, Table 4"."""
        return f"{PAPERS[self.paper].short}, Table {self.table}"

    @property
    def values(self) -> tuple[PrintedValue, ...]:
        """Its numbers."""
        return values_of(self.paper, self.table)

    @property
    def stub(self) -> tuple[str, ...]:
        """Headers of the leading columns, the last with what the other columns are where that is printed."""
        *outer, last = self.row_headers
        return (*outer, " / ".join(filter(None, (last, self.column_axis))))

    @property
    def headers(self) -> tuple[tuple[str, ...], ...]:
        """One per column: a text per line of the header."""
        lines = self.header_lines or (("", *(column.label for column in self.columns)),)
        return tuple(tuple(line[i + 1] for line in lines) for i in range(len(self.columns)))

    def at(self, row: PrintedRow, column: PrintedColumn) -> tuple[PrintedValue, ...]:
        """The numbers of a place: one, or one per part, or none in a blank."""
        here = [
            value for value in self.values
            if value.row == row.row and all(value.has(key, text) for key, text in column.match.items())
        ]  # fmt: skip
        return tuple(sorted(here, key=lambda value: column.parts.index(value.metric))) if column.parts else tuple(here)

    def text(self, row: PrintedRow, column: PrintedColumn) -> str:
        """What a place prints."""
        for place in (*self.printed, *self.blanks):
            if (place.row, place.col) == (row.row, column.label):
                return place.text
        return column.join.join(value.value for value in self.at(row, column))


@cache
def printed_tables() -> tuple[PrintedTable, ...]:
    """All tables, in the order of the papers."""
    text = files("harness.papers").joinpath("tables.toml").read_text(encoding="utf-8")
    return tuple(PrintedTable.model_validate(table) for table in tomllib.loads(text)["tables"])


@cache
def values_of(paper: str, table: str) -> tuple[PrintedValue, ...]:
    """The numbers of a table."""
    return tuple(value for value in every_value() if (value.paper, value.table) == (paper, table))


def printed_table(reference: str) -> PrintedTable:
    """The table that suites call "benz2021/4". Raises HarnessError with suggestions."""
    for table in printed_tables():
        if reference in (f"{table.paper}/{number}" for number in (table.table, *table.aliases)):
            return table
    paper, slash, _ = reference.partition("/")
    known = [table.reference for table in printed_tables() if paper == table.paper]
    nearest = did_you_mean(reference, known or [table.reference for table in printed_tables()])
    if known and slash:
        nearest = f"known: {', '.join(known)}"
    raise HarnessError(f'there is no printed table "{reference}".\n     {nearest}')
