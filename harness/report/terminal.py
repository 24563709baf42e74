"""Tables for the terminal: one line per row, intervals only where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.table import Entry, Table
from harness.report.words import interval_legend, written

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

INTERVALS, SPREADS = "intervals", "standard deviations over runs"

PARTS = ((INTERVALS, SPREADS), (INTERVALS,), ())
"""What stands beside the numbers, from the widest table to the narrowest."""


def terminal(table: Table, width: int = 100) -> RenderableType:
    """A table to print with rich; leaves out spreads, then intervals, when it would be wider than `width` columns."""
    from rich.console import Console, Group
    from rich.text import Text

    measuring = Console(width=10_000)
    candidates = [_rich(table, parts) for parts in PARTS]
    shown = next((i for i, drawn in enumerate(candidates) if measuring.measure(drawn).maximum <= width), len(PARTS) - 1)
    left_out = [f"Left out here, for width: {' and '.join(PARTS[0][shown * -1 :])}."] if shown else []
    legend = interval_legend([table]) if INTERVALS in PARTS[shown] else ""
    notes = [Text(note, style="dim") for note in (*table.notes, legend, *left_out) if note]
    return Group(Text(table.title, style="bold"), candidates[shown], *notes)


def _rich(table: Table, parts: Sequence[str]) -> RichTable:
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
        rich_table.add_row(*headers, *(_text(entry, table.decimals, parts) for entry in row.entries))
        above = row.header
    return rich_table


def _text(entry: Entry, decimals: int, shown: Sequence[str]) -> Text:
    from rich.text import Text

    parts = written(entry, decimals)
    if entry.estimate is None:
        return Text(parts.value, style="yellow" if entry.missing == "failed" else "dim")
    text = Text(parts.value, style="italic" if entry.comparison or not entry.runs else "").append(
        parts.mark, style="yellow"
    )
    if INTERVALS in shown and parts.half_width:
        text.append(f" ±{parts.half_width}", style="dim")
    if SPREADS in shown and parts.spread:
        text.append(f" (s {parts.spread})", style="dim")
    return text
