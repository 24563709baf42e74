r"""Tables in LaTeX, ready to be \input: needs the package booktabs and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from harness.report.formats import FORMATS, Format
from harness.report.table import Row, Table
from harness.report.words import Written, interval_legend, written

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", "∞": r"$\infty$",
    "ε": r"$\varepsilon$", "†": r"$^\dagger$", "±": r"$\pm$", "–": "--", "—": "---", "×": r"$\times$", "≤": r"$\leq$",
    "≥": r"$\geq$", "→": r"$\to$", "·": r"$\cdot$", "ℓ": r"$\ell$", "…": r"\dots{}",
}  # fmt: skip
_NORM = re.compile(r"\bL(∞|2|1)(?!\w)")


def latex(table: Table) -> str:
    """A `table` environment with caption, label and notes; repeated row headers are printed once per group."""
    lead = len(table.row_headers)
    columns = "l" * lead + "r" * len(table.columns)
    body = [f"    {line}" for line in (*_head(table), *_body(table))]
    legend = interval_legend([table])
    notes = " ".join(escape(note) for note in (*table.notes, legend) if note)
    lines = [
        r"% needs \usepackage{booktabs}",
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
    lead = len(table.row_headers)
    yield r"\toprule"
    for level in range(len(table.column_headers)):
        last = level == len(table.column_headers) - 1
        single = [(column[level], i, 1) for i, column in enumerate(table.columns)]
        spans = single if last else list(_spans(table.columns, level))
        left = [escape(header) for header in table.row_headers] if last else [""] * lead
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
    above: Row | None = None
    for row in table.rows:
        shared = _shared(above, row)
        if above and len(row.header) > 1 and shared == 0:
            yield r"\addlinespace"
        left = ["" if i < shared else escape(text) for i, text in enumerate(row.header)]
        yield _line([*left, *(_number(written(entry, table.decimals)) for entry in row.entries)])
        above = row
    yield r"\bottomrule"


def _shared(above: Row | None, row: Row) -> int:
    """How many leading headers a row repeats from the row above; the last header is always printed."""
    if above is None:
        return 0
    pairs = list(zip(above.header, row.header, strict=True))[:-1]
    return next((i for i, (one, other) in enumerate(pairs) if one != other), len(pairs))


def _number(parts: Written) -> str:
    interval = rf" {{\scriptsize$\pm${parts.half_width}}}" if parts.half_width else ""
    spread = rf" {{\scriptsize($s$ {parts.spread})}}" if parts.spread else ""
    return f"{escape(parts.value)}{parts.mark}{interval}{spread}"


def _line(texts: Sequence[str]) -> str:
    return " & ".join(texts) + r" \\"


FORMATS.add("latex", Format(".tex", latex))
