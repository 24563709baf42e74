r"""Tables in LaTeX, ready to be \input; their first line names the packages that they need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from harness.report.formats import FORMATS, Format
from harness.report.latex_columns import CHARACTER, Column, column_of, escape, spanning
from harness.report.lines import Line, lines, row_headers
from harness.report.table import Table
from harness.report.words import interval_legend

TEXT_WIDTH, LINES = 330, 32
"""Points and lines; a table that is roughly wider or longer is scaled down to a page, if it does not fit."""

FIT = r"max width=\linewidth, max totalheight=0.7\textheight"
"""What fits on a page, with room for a caption and notes."""

NUMBERS = ("retain-explicit-plus", "table-align-text-before=false", "table-align-text-after=false")
BOLD = ("text-series-to-math=true", "reset-text-series=false")
"""Settings of siunitx for all tables, and for those with bold numbers."""

GAP = 12
"""Points between columns."""


def latex(table: Table) -> str:
    """A `table` environment with caption, label and notes; repeated row headers are printed once per group."""
    printed = list(lines(table))
    columns = [column_of(printed, i) for i in range(len(table.columns))]
    specification = "l" * len(row_headers(table)) + "".join(column.specification for column in columns)
    body = [f"    {line}" for line in (*_head(table, columns), *_body(table, printed, columns))]
    wide = _width(table, printed, columns) > TEXT_WIDTH
    large = wide or len(printed) + sum(bool(row.heading) for row in table.rows) > LINES
    packages = ["booktabs", *(["multirow"] if table.reference else []), "siunitx", *(["adjustbox"] if large else [])]
    notes = " ".join(escape(note) for note in (*table.notes, interval_legend([table])) if note)
    notes = re.sub(r"\bn = (?=\d)", "n~=~", notes)
    made = [
        rf"% needs \usepackage{{{','.join(packages)}}}, siunitx of version 3 or later",
        r"\begin{table}",
        r"  \centering",
        rf"  \sisetup{{{', '.join((*NUMBERS, *(BOLD if table.best else ())))}}}",
        rf"  \caption{{{escape(table.title)}}}",
        rf"  \label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', table.name)}}}",
        r"  \smallskip",
        *([r"  \setlength{\tabcolsep}{3pt}"] if wide else []),
        *([rf"  \begin{{adjustbox}}{{{FIT}}}"] if large else []),
        rf"  \begin{{tabular}}{{{specification}}}",
        *body,
        r"  \end{tabular}",
        *([r"  \end{adjustbox}"] if large else []),
        r"  \par\smallskip",
        r"  \begin{minipage}{\linewidth}\footnotesize",
        rf"    {notes}",
        r"  \end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(made) + "\n"


def _width(table: Table, printed: Sequence[Line], columns: Sequence[Column]) -> float:
    """Of the whole table, in points, roughly."""
    leading = zip(row_headers(table), *(line.header for line in printed), strict=True)
    headers = [CHARACTER * max(map(len, texts)) for texts in leading]
    numbers = [
        max(column.width, CHARACTER * max(map(len, texts)))
        for column, texts in zip(columns, table.columns, strict=True)
    ]
    return sum((*headers, *numbers)) + GAP * sum((len(headers), *(column.span for column in columns)))


def _head(table: Table, columns: Sequence[Column]) -> Iterator[str]:
    lead = len(row_headers(table))
    yield r"\toprule"
    for level in range(len(table.column_headers)):
        last = level == len(table.column_headers) - 1
        # A paper's further lines stand below its headers; our levels stand above.
        first = level == 0 if table.reference else last
        single = [(texts[level], i, 1) for i, texts in enumerate(table.columns)]
        spans = single if last or table.reference else list(_spans(table.columns, level))
        left = [escape(header) for header in row_headers(table)] if first else [""] * lead
        yield _line([*left, *(spanning(text, _span(columns[i : i + width])) for text, i, width in spans)])
        starts = [(lead + _span(columns[:i]), _span(columns[i : i + width]), width) for _, i, width in spans]
        rules = [rf"\cmidrule(lr){{{start + 1}-{start + span}}}" for start, span, width in starts if width > 1]
        if rules:
            yield " ".join(rules)
    yield r"\midrule"


def _span(columns: Sequence[Column]) -> int:
    """Columns of LaTeX."""
    return sum(column.span for column in columns)


def _spans(columns: Sequence[tuple[str, ...]], level: int) -> Iterator[tuple[str, int, int]]:
    """Text, first column and width of the headers at an outer level; equal neighbours below equal parents join."""
    for _, group in groupby(enumerate(columns), key=lambda pair: pair[1][: level + 1]):
        members = list(group)
        yield members[0][1][level], members[0][0], len(members)


def _body(table: Table, printed: Sequence[Line], columns: Sequence[Column]) -> Iterator[str]:
    spans = header_spans(printed) if table.reference else None
    group = _group(printed)
    for i, line in enumerate(printed):
        above = printed[i - 1] if i else None
        yield from _between(table, above, line, group, len(line.header) + _span(columns))
        left = _names(above, line) if spans is None else [_name(*span) for span in spans[i]]
        yield _line([*left, *(column.cells(place) for column, place in zip(columns, line.places, strict=True))])
    yield r"\bottomrule"


def _between(table: Table, above: Line | None, line: Line, group: int, width: int) -> Iterator[str]:
    """What stands above a line: rules and headings as the paper has them, or else a little room between groups."""
    if above and above.row is not line.row:
        if above.row.rule:
            start = 1 + _shared(above, line)
            yield r"\midrule" if start == 1 else rf"\cmidrule{{{start}-{width}}}"
        elif table.against or (not table.reference and _shared(above, line) < group):
            yield r"\addlinespace"
    if line.row.heading and line.kind == "ours":
        yield rf"\multicolumn{{{width}}}{{c}}{{{escape(line.row.heading)}}} \\"


def _group(printed: Sequence[Line]) -> int:
    """How many leading headers the lines of a group share: those up to the first that varies, but never all."""
    first = next(
        (i for i, texts in enumerate(zip(*(line.header for line in printed), strict=True)) if len(set(texts)) > 1), 0
    )
    return min(first + 1, len(printed[0].header) - 1) if printed else 0


def _names(above: Line | None, line: Line) -> list[str]:
    """Row headers, repeated ones left out."""
    shared = _shared(above, line) if above else 0
    return ["" if i < shared else escape(text) for i, text in enumerate(line.header)]


def _shared(above: Line, line: Line) -> int:
    """How many leading headers a line repeats from the line above; the last header is always printed."""
    pairs = list(zip(above.header, line.header, strict=True))[:-1]
    return next((i for i, (one, other) in enumerate(pairs) if one != other), len(pairs))


def header_spans(printed: Sequence[Line]) -> list[list[tuple[str, int]]]:
    """Per line and row header its text and how many lines it spans; 0 below the first of them.

    A header spans the lines that repeat it and all headers before it, up to the next heading.
    """
    starts = [[_opens(printed, i, level) for level in range(len(line.header))] for i, line in enumerate(printed)]
    return [
        [(text, _length(starts, i, level) if starts[i][level] else 0) for level, text in enumerate(line.header)]
        for i, line in enumerate(printed)
    ]


def _opens(printed: Sequence[Line], i: int, level: int) -> bool:
    """Whether a line does not go on with the header of the line above."""
    line, above = printed[i], printed[i - 1]
    headed = bool(line.row.heading) and line.kind == "ours"
    return i == 0 or headed or line.header[: level + 1] != above.header[: level + 1]


def _length(starts: Sequence[Sequence[bool]], i: int, level: int) -> int:
    following = (j for j in range(i + 1, len(starts)) if starts[j][level])
    return next(following, len(starts)) - i


def _name(text: str, span: int) -> str:
    """A row header that spans several lines."""
    return rf"\multirow{{{span}}}{{*}}{{{escape(text)}}}" if span > 1 else escape(text) if span else ""


def _line(texts: Sequence[str]) -> str:
    # What ends the line above would take a star or a bracket for its own.
    guard = "{}" if texts[0].startswith(("*", "[")) else ""
    return guard + " & ".join(texts) + r" \\"


FORMATS.add("latex", Format(".tex", latex))
