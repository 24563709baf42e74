"""Columns of LaTeX tables: numbers in `S` columns of siunitx, aligned at the decimal point whatever stands behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report.lines import Line, Place
from harness.report.words import Written

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", "∞": r"$\infty$",
    "ε": r"$\varepsilon$", "†": r"$^\dagger$", "±": r"$\pm$", "–": "--", "—": "---", "×": r"$\times$", "≤": r"$\leq$",
    "≥": r"$\geq$", "→": r"$\to$", "·": r"$\cdot$", "ℓ": r"$\ell$", "…": r"\dots{}",
}  # fmt: skip
_NORM = re.compile(r"\b(?:L|(?=l(?:-inf|2)\b)l)(∞|-inf|2|1)(?!\w)")
_QUOTED = re.compile(r'"([^"]*)"')
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<zero>0(?=\d))?(?P<whole>\d+)(?:\.(?P<decimals>\d+))?(?P<mark>\D*)")

CHARACTER, SMALL_CHARACTER = 5.0, 3.8
"""Average widths in points, at 10 points and in what stands small behind numbers."""


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; L∞ and L2, or l-inf and l2, become the norms' symbols."""
    parts = _NORM.split(_QUOTED.sub(r"``\1''", " ".join(text.split())))
    symbols = {"∞": r"$\ell_\infty$", "-inf": r"$\ell_\infty$", "2": r"$\ell_2$", "1": r"$\ell_1$"}
    return "".join(
        symbols[part] if i % 2 else "".join(_SPECIAL.get(character, character) for character in part)
        for i, part in enumerate(parts)
    )


@dataclass(frozen=True)
class Column:
    """A column of a table; joined numbers have a column of LaTeX each."""

    specifications: tuple[str, ...]
    """One per number, such as `S[table-format=2.1]`."""
    join: str
    """What stands between its numbers."""
    width: float
    """Of its numbers, in points, roughly."""

    @property
    def span(self) -> int:
        """Columns of LaTeX."""
        return len(self.specifications)

    @property
    def specification(self) -> str:
        """All of it for the head of a tabular."""
        return rf"@{{\,{escape(self.join)}\,}}".join(self.specifications)

    def header(self, text: str) -> str:
        """A header of this column alone."""
        return spanning(text, self.span)

    def cells(self, place: Place) -> str:
        """What stands at a place of a line, with the ampersands between its numbers."""
        if len(place.parts) == self.span:
            return " & ".join(map(_cell, place.parts))
        return spanning(place.text, self.span)


def column_of(printed: Sequence[Line], position: int) -> Column:
    """The column at a position of all lines."""
    places = [line.places[position] for line in printed]
    span = max(len(place.parts) for place in places)
    join = next((place.entry.join for place in places if len(place.parts) == span), "")
    numbers = [[place.parts[i] for place in places if len(place.parts) == span] for i in range(span)]
    widths = [max(map(_width, parts)) for parts in numbers]
    return Column(tuple(map(_specification, numbers)), join, sum(widths) + CHARACTER * (span - 1))


def spanning(text: str, span: int) -> str:
    """Text in columns of numbers, where braces keep it from being read as one."""
    return rf"\multicolumn{{{span}}}{{c}}{{{escape(text)}}}" if span > 1 else rf"{{{escape(text)}}}" if text else ""


def _specification(parts: Sequence[Written]) -> str:
    """Room for the longest of each: sign, digits, decimals, and what stands behind."""
    numbers = [number for part in parts if (number := _NUMBER.fullmatch(part.value))]
    if not numbers:
        return "c"
    sign = "+" if any(number["sign"] for number in numbers) else ""
    whole = max(len((number["zero"] or "") + number["whole"]) for number in numbers)
    decimals = max(len(number["decimals"] or "") for number in numbers)
    behind = max((_behind(part) for part in parts), key=len)
    return f"S[table-format={sign}{whole}{f'.{decimals}' if decimals else ''}{behind}]"


def _cell(part: Written) -> str:
    number = _NUMBER.fullmatch(part.value)
    if not number:
        return spanning(part.value, 1)
    # A leading zero, which a paper may print, would be dropped from the number.
    before = "{0}" if number["zero"] else ""
    decimals = f".{number['decimals']}" if number["decimals"] else ""
    text, behind = f"{before}{number['sign']}{number['whole']}{decimals}", _behind(part)
    if part.bold:
        # What stands behind is not.
        return r"\bfseries " + text + behind.replace("{", r"{\mdseries ", 1)
    return text + behind


def _behind(part: Written) -> str:
    """What stands behind a number, in braces; nothing where there is nothing."""
    return f"{{{''.join(_marks(part))}}}" if any(_marks(part)) else ""


def _marks(part: Written) -> Iterator[str]:
    number = _NUMBER.fullmatch(part.value)
    yield escape((number["mark"] if number else "") + part.mark)
    if part.margin or part.spread:
        interval = rf"$\pm${part.margin}" if part.margin else ""
        spread = rf"($s$ {part.spread})" if part.spread else ""
        yield r"\,\scriptsize " + " ".join(filter(None, (interval, spread)))


def _width(part: Written) -> float:
    return CHARACTER * len(part.value) + SMALL_CHARACTER * (len(part.text) - len(part.value))
