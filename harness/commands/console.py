"""How commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

WIDE = 10_000
"""Width of output that goes to a file: nothing is cut or wrapped."""


def stdout() -> Console:
    """Where results are printed."""
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=WIDE)


def stderr() -> Console:
    """Where progress and messages are printed."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """JSON on standard output."""
    Console(highlight=False, soft_wrap=True).print_json(json.dumps(value, ensure_ascii=False, default=str), indent=1)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with a column per key."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key in rows[0]:
        table.add_column(key, no_wrap=key == "name")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    stdout().print(table)


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(cells: int) -> str:
    """A number of cells in words."""
    return f"{cells} cell{'' if cells == 1 else 's'}"
