"""Tables for the terminal: one line per row, intervals only where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.lines import Place, lines, row_headers
from harness.report.table import Entry, Table
from harness.report.words import Written, interval_legend

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

INTERVALS, SPREADS = "intervals", "standard deviations over runs"

PARTS = ((INTERVALS, SPREADS), (INTERVALS,), ())
"""What stands beside the numbers, from the widest table to the narrowest."""


def terminal(table: Table, width: int = 100) -> RenderableType:
    """A table to print with rich; leaves out spreads, intervals, then room, to be no wider than `width` columns.

    To be printed with crop=False, as `keep_whole` says.
    """
    from rich.console import Console, Group
    from rich.text import Text

    measuring = Console(width=10_000)
    candidates = [*(_rich(table, parts) for parts in PARTS), _rich(table, (), gap=0)]
    shown = next((i for i, drawn in enumerate(candidates) if measuring.measure(drawn).maximum <= width), len(PARTS))
    left_out = [f"Left out here, for width: {' and '.join(PARTS[0][shown * -1 :])}."] if shown else []
    legend = interval_legend([table]) if INTERVALS in [*PARTS, ()][shown] else ""
    notes = [Text(note, style="dim") for note in (*table.notes, legend, *left_out) if note]
    return Group(Text(table.title, style="bold"), keep_whole(candidates[shown], width), *notes)


def _rich(table: Table, parts: Sequence[str], gap: int = 1) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rich_table = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, gap))
    for name in row_headers(table):
        rich_table.add_column(Text(name), no_wrap=True)
    for column in table.columns:
        rich_table.add_column(Text("\n".join(filter(None, column))), justify="right")
    above: tuple[str, ...] = ()
    for line in lines(table):
        header, opens = line.header, line.kind == "ours"
        outer = len(table.row_headers) > 1 and above and above[0] != header[0]
        if above and opens and (outer or (line.row.heading and table.reference) or table.against):
            rich_table.add_section()
        if line.row.heading and opens:
            rich_table.add_row(Text(line.row.heading, style="italic"))
        same = [above[: i + 1] == header[: i + 1] for i in range(len(header))]
        headers = [Text(text, style="dim" if repeated else "") for text, repeated in zip(header, same, strict=True)]
        rich_table.add_row(*headers, *(_text(place, line.kind, parts) for place in line.places))
        above = header
    return rich_table


def keep_whole(table: RichTable, width: int) -> RichTable:
    """Let headings wrap in so many columns, but no word, name or number be cut: where they need more, lines stand out.

    Such a table is to be printed with crop=False.
    """
    from rich.console import Console
    from rich.text import Text

    for column in table.columns:
        words = Text(" ".join(str(column.header).split())).split(" ")
        cells = [text for text in column.cells if isinstance(text, Text)]
        column.min_width = max(text.cell_len for text in (*words, *cells))
    needed = Console(width=10_000).measure(table)
    if needed.maximum > width:
        table.width = max(needed.minimum, width)
    return table


def _text(place: Place, kind: str, shown: Sequence[str]) -> Text:
    from rich.text import Text

    if kind != "ours":
        return Text(place.text, style="dim" if kind == "paper" else "bold")
    text = Text()
    for i, (part, entry) in enumerate(zip(place.parts, place.entry.parts, strict=False)):
        text.append(place.entry.join if i else "").append(_number(entry, part, shown))
    return text


def _number(entry: Entry, parts: Written, shown: Sequence[str]) -> Text:
    from rich.text import Text

    if entry.estimate is None:
        return Text(parts.value, style="yellow" if entry.missing == "failed" else "dim")
    style = "bold" if parts.bold else "italic" if entry.comparison or not entry.runs else ""
    text = Text().append(parts.value, style=style).append(parts.mark, style="yellow")
    if INTERVALS in shown and parts.margin:
        text.append(f" ±{parts.margin}", style="dim")
    if SPREADS in shown and parts.spread:
        text.append(f" (s {parts.spread})", style="dim")
    return text
