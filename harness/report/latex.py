r"""Tables in LaTeX, ready to be \input: needs the package booktabs, and multirow for tables of papers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from harness.report.formats import FORMATS, Format
from harness.report.lines import Line, Place, lines, row_headers
from harness.report.table import Table
from harness.report.words import Written, interval_legend

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", "∞": r"$\infty$",
    "ε": r"$\varepsilon$", "†": r"$^\dagger$", "±": r"$\pm$", "–": "--", "—": "---", "×": r"$\times$", "≤": r"$\leq$",
    "≥": r"$\geq$", "→": r"$\to$", "·": r"$\cdot$", "ℓ": r"$\ell$", "…": r"\dots{}",
}  # fmt: skip
_NORM = re.compile(r"\bL(∞|2|1)(?!\w)")


def latex(table: Table) -> str:
    """A `table` environment with caption, label and notes; repeated row headers are printed once per group."""
    lead = len(row_headers(table))
    columns = "l" * lead + "r" * len(table.columns)
    body = [f"    {line}" for line in (*_head(table), *_body(table))]
    legend = interval_legend([table])
    notes = " ".join(escape(note) for note in (*table.notes, legend) if note)
    lines = [
        r"% needs \usepackage{booktabs,multirow}" if table.reference else r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(table.title)}}}",
        rf"  \label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', table.name)}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        *body,
        r"  \end{tabular}",
        r"  \par\smallskip\footnotesize",
        rf"  {notes}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; L∞ and L2 become the norms' symbols."""
    parts = _NORM.split(" ".join(text.split()))
    symbols = {"∞": r"$\ell_\infty$", "2": r"$\ell_2$", "1": r"$\ell_1$"}
    return "".join(
        symbols[part] if i % 2 else "".join(_SPECIAL.get(character, character) for character in part)
        for i, part in enumerate(parts)
    )


def _head(table: Table) -> Iterator[str]:
    lead = len(row_headers(table))
    yield r"\toprule"
    for level in range(len(table.column_headers)):
        last = level == len(table.column_headers) - 1
        # A paper's further lines stand below its headers; our levels stand above.
        first = level == 0 if table.reference else last
        single = [(column[level], i, 1) for i, column in enumerate(table.columns)]
        spans = single if last or table.reference else list(_spans(table.columns, level))
        left = [escape(header) for header in row_headers(table)] if first else [""] * lead
        yield _line([*left, *(_spanning(text, width) for text, _, width in spans)])
        rules = [rf"\cmidrule(lr){{{lead + i + 1}-{lead + i + width}}}" for _, i, width in spans if width > 1]
        if rules:
            yield " ".join(rules)
    yield r"\midrule"


def _spans(columns: Sequence[tuple[str, ...]], level: int) -> Iterator[tuple[str, int, int]]:
    """Text, first column and width of the headers at an outer level; equal neighbours below equal parents join."""
    for _, group in groupby(enumerate(columns), key=lambda pair: pair[1][: level + 1]):
        members = list(group)
        yield members[0][1][level], members[0][0], len(members)


def _spanning(text: str, width: int) -> str:
    return rf"\multicolumn{{{width}}}{{c}}{{{escape(text)}}}" if width > 1 else escape(text)


def _body(table: Table) -> Iterator[str]:
    printed = list(lines(table))
    spans = header_spans(printed) if table.reference else None
    for i, line in enumerate(printed):
        above = printed[i - 1] if i else None
        yield from _between(table, above, line)
        left = _names(above, line) if spans is None else [_name(*span) for span in spans[i]]
        yield _line([*left, *(_place(place, line.kind) for place in line.places)])
    yield r"\bottomrule"


def _between(table: Table, above: Line | None, line: Line) -> Iterator[str]:
    """What stands above a line: rules and headings as the paper has them, or else a little room between groups."""
    if above and above.row is not line.row:
        if above.row.rule:
            start, width = 1 + _shared(above, line), len(line.header) + len(line.places)
            yield r"\midrule" if start == 1 else rf"\cmidrule{{{start}-{width}}}"
        elif table.against or (not table.reference and len(line.header) > 1 and not _shared(above, line)):
            yield r"\addlinespace"
    if line.row.heading and line.kind == "ours":
        width = len(line.header) + len(line.places)
        yield rf"\multicolumn{{{width}}}{{c}}{{{escape(line.row.heading)}}} \\"


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


def _place(place: Place, kind: str) -> str:
    if kind == "diff":
        return place.entry.join.join(escape(part.value).replace("-", "$-$") for part in place.parts)
    return escape(place.entry.join).join(map(_number, place.parts))


def _number(parts: Written) -> str:
    interval = rf" {{\scriptsize$\pm${parts.half_width}}}" if parts.half_width else ""
    spread = rf" {{\scriptsize($s$ {parts.spread})}}" if parts.spread else ""
    return f"{escape(parts.value)}{parts.mark}{interval}{spread}"


def _line(texts: Sequence[str]) -> str:
    return " & ".join(texts) + r" \\"


FORMATS.add("latex", Format(".tex", latex))
