"""Tables for the terminal: one line per row, intervals only where they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.table import Entry, Table
from harness.report.words import written

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text


def terminal(table: Table, width: int = 100) -> RenderableType:
    """A table to print with rich; drops the intervals when it would be wider than `width` columns with them."""
    from rich.console import Console, Group
    from rich.text import Text

    measuring = Console(width=10_000)
    full = _rich(table, intervals=True)
    shown = full if measuring.measure(full).maximum <= width else _rich(table, intervals=False)
    notes = [Text(note, style="dim") for note in table.notes]
    return Group(Text(table.title, style="bold"), shown, *notes)


def _rich(table: Table, intervals: bool) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rich_table = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1))
    for header in table.row_headers:
        rich_table.add_column(Text(header), no_wrap=True)
    for column in table.columns:
        rich_table.add_column(Text("\n".join(filter(None, column))), justify="right")
    above: tuple[str, ...] = ()
    for row in table.rows:
        if len(row.header) > 1 and above and above[0] != row.header[0]:
            rich_table.add_section()
        same = [above[: i + 1] == row.header[: i + 1] for i in range(len(row.header))]
        headers = [Text(text, style="dim" if repeated else "") for text, repeated in zip(row.header, same, strict=True)]
        rich_table.add_row(*headers, *(_text(entry, table.decimals, intervals) for entry in row.entries))
        above = row.header
    return rich_table


def _text(entry: Entry, decimals: int, intervals: bool) -> Text:
    from rich.text import Text

    parts = written(entry, decimals)
    if entry.estimate is None:
        return Text(parts.value, style="yellow" if entry.missing == "failed" else "dim")
    text = Text(parts.value, style="italic" if not entry.runs else "").append(parts.mark, style="yellow")
    if intervals:
        text.append(f" ±{parts.half_width}", style="dim")
        text.append(f" (s {parts.spread})" if parts.spread else "", style="dim")
    return text
