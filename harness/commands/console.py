"""How commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

WIDE = 10_000
"""Width of output that goes to a file: nothing is cut or wrapped."""

GAP = 2
"""Between columns."""


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


def print_rows(
    rows: Sequence[Mapping[str, Any]], *, folding: Collection[str] = (), expendable: Sequence[str] = ()
) -> None:
    """A table with a column per key; one in which no row has a value, only "-", is left out.

    Several values of a cell stand one below the other on a terminal, side by side in a file.

    Args:
        rows: the cells of each row, by column.
        folding: columns that may be folded where a terminal is narrow; all but the name by default.
        expendable: columns that are left out, the first one first, where folding is not enough.
    """
    console = stdout()
    between = "\n" if console.is_terminal else ", "
    cells = {
        key: [between.join(row[key]) if isinstance(row[key], list) else str(row[key]) for row in rows]
        for key in rows[0]
        if key == "name" or any(row[key] != "-" for row in rows)
    }
    folds = {key: key in folding if folding else key != "name" for key in cells}
    for key in expendable:
        if sum(GAP + narrowest([heading, *cells[heading]], folds[heading]) for heading in cells) > console.width:
            cells.pop(key, None)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key in cells:
        table.add_column(key, no_wrap=not folds[key], overflow="fold")
    for texts in zip(*cells.values(), strict=True):
        table.add_row(*texts)
    console.print(table)


def narrowest(texts: Iterable[str], folds: bool) -> int:
    """The width that a column needs: that of its longest word if it folds, else of its longest line."""
    return max(cell_len(part) for text in texts for part in (text.split() if folds else text.splitlines()))


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(cells: int) -> str:
    """A number of cells in words."""
    return f"{cells} cell{'' if cells == 1 else 's'}"
