"""For the terminal: the cells that changed, and what to make of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.check.compare import Check, Comparison, Verdict
from harness.check.formats import FORMATS
from harness.check.words import (
    ADVICE,
    by_reason,
    difference,
    heading,
    names,
    needed,
    notable,
    p_value,
    percent,
    rule_words,
    some,
    verdict_words,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

STYLES: dict[Verdict, str] = {
    "regression": "bold red", "cannot be compared": "yellow", "gone": "yellow", "stronger attack": "yellow",
    "weaker attack": "yellow", "improvement": "green", "new cell": "cyan", "ok": "",
}  # fmt: skip

WIDE = 10_000
"""Columns in which every table fits."""

CELLS_SHOWN, IMAGES_SHOWN = 3, 10
"""Of many with one reason; of many that flipped in a cell. Markdown and JSON have all."""

COLUMNS = ("Cell", "Verdict", "Before", "After", "Difference", "p", "Images\nneeded")


@FORMATS.register("terminal")
@dataclass(frozen=True)
class Terminal:
    """A table of the cells that changed, the reasons, and the first images that flipped."""

    check: Check
    """What to print."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print it; where the terminal is narrow, without the intervals of differences."""
        from rich.measure import Measurement
        from rich.text import Text

        shown = notable(self.check)
        if shown:
            table, narrow = (_table(self.check, shown, interval=interval) for interval in (True, False))
            needed_width = Measurement.get(console, options.update(width=WIDE), table).maximum
            yield table if needed_width <= options.max_width else narrow
        yield from (Text(note) for note in _notes(self.check, shown))
        yield Text(rule_words(self.check), style="dim")
        yield Text(heading(self.check), style={0: "bold green", 1: "bold yellow", 3: "bold red"}[self.check.exit_code])


def _table(check: Check, shown: list[Comparison], *, interval: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    called = names(check.comparisons)
    numbers = [
        (percent(one.before), percent(one.after), difference(one, interval=interval), p_value(one), needed(one))
        for one in shown
    ]
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1))
    for column in COLUMNS[:2]:
        table.add_column(column, overflow="fold")
    for column, texts in zip(COLUMNS[2:], zip(*numbers, strict=True), strict=True):
        table.add_column(column, justify="right", no_wrap=True, min_width=max(map(len, texts)))
    for one, row in zip(shown, numbers, strict=True):
        table.add_row(Text(called[one.name]), Text(verdict_words(one), style=STYLES[one.verdict]), *map(Text, row))
    return table


def _notes(check: Check, shown: list[Comparison]) -> Iterator[str]:
    called = names(check.comparisons)
    for (verdict, reason), cells in by_reason(shown).items():
        yield f"{verdict}: {some([called[one.name] for one in cells], CELLS_SHOWN)}: {reason}"
    for one in check.having("regression")[:CELLS_SHOWN]:
        yield f"images lost by {called[one.name]}: {some(one.lost, IMAGES_SHOWN)}"
    for verdict in dict.fromkeys(one.verdict for one in shown if one.verdict in ADVICE):
        yield f"{verdict}: {ADVICE[verdict]}"
