"""Tables as GitHub pipe tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from harness.report.formats import FORMATS, Format
from harness.report.lines import Place, lines, row_headers
from harness.report.table import Table
from harness.report.words import Written, interval_legend

_MARKUP = re.compile(
    r"[|*`~$\[\]]"  # tables, emphasis, code, strikethrough, mathematics, links
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis too, but not within a word
    r"|\\(?=[!-/:-@\[-`{-~])"  # a backslash that would escape what follows
    r"|<(?=[A-Za-z/!?])|^>|&(?=#?\w+;)"  # HTML, a quotation, an entity
)
"""What may be markup in GitHub's Markdown."""


def markdown(table: Table) -> str:
    """A table with its heading and notes; levels of column headers are joined by a space."""
    legend = interval_legend([table])
    notes = [*table.notes, *([legend] if legend else [])]
    return "\n".join([f"### {plain(table.title)}", "", pipe_table(table), "", bullets(notes)])


def pipe_table(table: Table) -> str:
    """The bare table; row headers to the left, numbers to the right."""
    lead = row_headers(table)
    head = [*lead, *(" ".join(filter(None, column)) for column in table.columns)]
    return _aligned([plain(text) for text in head], list(_rows(table, len(head))), numbers_from=len(lead))


def _rows(table: Table, width: int) -> Iterator[list[str]]:
    """The texts of all lines, in Markdown; the paper's numbers and differences repeat no headers."""
    for line in lines(table):
        if line.row.heading and line.kind == "ours":
            yield [plain(line.row.heading), *[""] * (width - 1)]
        names = line.header if line.kind == "ours" else (*[""] * (len(line.header) - 1), line.header[-1])
        yield [*map(plain, names), *map(_text, line.places)]


def _text(place: Place) -> str:
    return plain(place.entry.join).join(map(_number, place.parts))


def _number(part: Written) -> str:
    text = plain(part.text)
    return f"**{part.value}**{text.removeprefix(part.value)}" if part.bold else text


def pipes(head: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int) -> str:
    """A pipe table of texts; columns from `numbers_from` on are aligned to the right."""
    lines = [[plain(text) for text in line] for line in (head, *rows)]
    return _aligned(lines[0], lines[1:], numbers_from)


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int) -> str:
    alignment = ["right" if i >= numbers_from else "left" for i in range(len(head))]
    return str(tabulate(rows, head, tablefmt="pipe", colalign=alignment, disable_numparse=True))


def bullets(sentences: Sequence[str]) -> str:
    """A list, one sentence per line."""
    return "".join(f"- {plain(sentence)}\n" for sentence in sentences)


class Markup(str):
    """Text that is Markdown already, such as a code span."""

    __slots__ = ()


def plain(text: str) -> str:
    """Text that cannot break a table or start markup: one line, with what might be markup escaped."""
    return text if isinstance(text, Markup) else _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


FORMATS.add("markdown", Format(".md", markdown, in_page=True))
