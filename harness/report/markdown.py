"""Tables as GitHub pipe tables."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from harness.report.formats import FORMATS, Format
from harness.report.table import Table
from harness.report.words import interval_legend, written


def markdown(table: Table) -> str:
    """A table with its heading and notes; levels of column headers are joined by a space."""
    legend = interval_legend([table])
    notes = [*table.notes, *([legend] if legend else [])]
    return "\n".join([f"### {plain(table.title)}", "", pipe_table(table), "", bullets(notes)])


def pipe_table(table: Table) -> str:
    """The bare table; row headers to the left, numbers to the right."""
    head = [*table.row_headers, *(" ".join(filter(None, column)) for column in table.columns)]
    rows = [[*row.header, *(written(entry, table.decimals).text for entry in row.entries)] for row in table.rows]
    return pipes(head, rows, numbers_from=len(table.row_headers))


def pipes(head: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int) -> str:
    """A pipe table of texts; columns from `numbers_from` on are aligned to the right."""
    lines = [[plain(text) for text in line] for line in (head, *rows)]
    alignment = ["right" if i >= numbers_from else "left" for i in range(len(head))]
    return str(tabulate(lines[1:], lines[0], tablefmt="pipe", colalign=alignment, disable_numparse=True))


def bullets(sentences: Sequence[str]) -> str:
    """A list, one sentence per line."""
    return "".join(f"- {plain(sentence)}\n" for sentence in sentences)


def plain(text: str) -> str:
    """Text that cannot break a table or start markup: one line, with bars and stars escaped."""
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


FORMATS.add("markdown", Format(".md", markdown, in_page=True))
