"""Annotations of GitHub Actions: lines that the runner shows beside the run."""

from __future__ import annotations

from collections.abc import Iterator

from harness.check.compare import Check, Comparison, Verdict
from harness.check.formats import FORMATS
from harness.check.words import ADVICE, by_reason, counted, full_name, heading, sentence, short_name, some

SHOWN = 10
"""Annotations of one kind that GitHub shows per step."""

CELLS_SHOWN = 3

WARNED: tuple[Verdict, ...] = ("cannot be compared", "gone", "stronger attack", "weaker attack", "new cell")


@FORMATS.register("github")
def github(check: Check) -> str:
    """An error per regression, a warning per other verdict that needs attention, and a notice with the result."""
    return "\n".join([*_errors(check), *_warnings(check), annotation("notice", "Robustness gate", heading(check))])


def annotation(kind: str, title: str, message: str) -> str:
    """One line for the runner, with what would end it escaped."""
    data = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    words = title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={words}::{data}"


def _errors(check: Check) -> Iterator[str]:
    regressions = check.having("regression")
    shown = regressions if len(regressions) <= SHOWN else regressions[: SHOWN - 1]
    for one in shown:
        yield annotation("error", f"Regression: {short_name(one.name)}", f"{full_name(one.name)}: {sentence(one)}")
    if rest := regressions[len(shown) :]:
        yield annotation("error", f"{len(rest)} more regressions", _cells(rest))


def _warnings(check: Check) -> Iterator[str]:
    for verdict in WARNED:
        if cells := check.having(verdict):
            reasons = [f"{_cells(group)}: {reason}" for (_, reason), group in by_reason(cells).items()]
            yield annotation(
                "warning", counted(len(cells), verdict), "\n".join([*some_lines(reasons), ADVICE[verdict]])
            )
    if lower := sorted(check.lower, key=lambda one: one.means.difference if one.means else 0.0):
        lines = [f"{full_name(one.name)}: {sentence(one)}" for one in lower]
        title = f"{len(lower)} lower, but not enough to count"
        yield annotation("warning", title, "\n".join(some_lines(lines)))


def some_lines(lines: list[str]) -> list[str]:
    """The first few of many."""
    more = [f"and {len(lines) - CELLS_SHOWN} more"] if len(lines) > CELLS_SHOWN else []
    return [*lines[:CELLS_SHOWN], *more]


def _cells(cells: list[Comparison]) -> str:
    return some([full_name(one.name) for one in cells], CELLS_SHOWN)
