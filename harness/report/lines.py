"""The lines in which a table is printed: one per row, or three where the paper's numbers stand below ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from harness.report.table import Entry, Row, Table
from harness.report.words import Written, written

Kind = Literal["ours", "paper", "diff"]
"""Whose numbers a line has: ours, the paper's, or ours less the paper's."""


class Place(NamedTuple):
    """What stands at one place of a line."""

    entry: Entry
    """What it is about."""
    parts: tuple[Written, ...]
    """Its numbers; most places have one."""

    @property
    def text(self) -> str:
        """All of it, such as "93.7 ±1.5/28.6 ±2.8"."""
        return self.entry.join.join(part.text for part in self.parts)


class Line(NamedTuple):
    """A line of a table."""

    kind: Kind
    """Whose numbers it has; printed before them where a table has several kinds."""
    header: tuple[str, ...]
    """One text per header of `row_headers`."""
    places: tuple[Place, ...]
    """One per column."""
    row: Row
    """The row that it is a line of."""


def row_headers(table: Table) -> tuple[str, ...]:
    """How the leading columns are called; one more where lines say whose numbers they have."""
    return (*table.row_headers, "") if table.against else table.row_headers


def lines(table: Table) -> Iterator[Line]:
    """All lines, from top to bottom."""
    for row in table.rows:
        kinds: tuple[Kind, ...] = ("ours", "paper", "diff") if table.against else ("ours",)
        for kind in kinds:
            places = tuple(Place(entry, _parts(entry, kind, table.decimals)) for entry in row.entries)
            yield Line(kind, (*row.header, kind) if table.against else row.header, places, row)


def _parts(entry: Entry, kind: Kind, decimals: int) -> tuple[Written, ...]:
    if kind == "ours":
        ours = [written(part, decimals) for part in entry.parts]
        return tuple(ours[:1] if all(part.missing == "not in the suite" for part in entry.parts) else ours)
    if kind == "paper":
        return tuple(Written(part.printed.text if part.printed else part.blank) for part in entry.parts)
    differences = [part.difference for part in entry.parts]
    if all(difference is None for difference in differences):
        return (Written(""),)
    return tuple(Written("" if one is None else f"{one:+.{decimals}f}") for one in differences)
