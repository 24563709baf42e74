"""Markdown for a comment on a pull request: the result in one line, the rest folded."""

from __future__ import annotations

from collections.abc import Sequence

from harness.check.compare import Check, Comparison
from harness.check.formats import FORMATS
from harness.check.packing import pack_indices
from harness.check.words import (
    ADVICE,
    difference,
    heading,
    names,
    needed,
    notable,
    p_value,
    percent,
    rule_words,
    verdict_words,
)
from harness.report.markdown import bullets, pipes, plain
from harness.report.words import NO_NUMBER

MARKS = {0: "✅", 1: "⚠️", 3: "❌"}

COLUMNS = ("Cell", "Verdict", "Remark", "Before", "After", "Difference (95% interval)", "n", "p", "Images needed")
NUMBERS_FROM = 3


@FORMATS.register("markdown")
def markdown(check: Check) -> str:
    """The result, the cells that changed, and folded below them all cells and all images that flipped."""
    shown = notable(check)
    flipped = [one for one in check.comparisons if one.lost or one.won]
    advice = [
        f"{verdict}: {ADVICE[verdict]}" for verdict in dict.fromkeys(one.verdict for one in shown) if verdict in ADVICE
    ]
    parts = [
        f"{MARKS[check.exit_code]} **{plain(heading(check))}**",
        _table(check, [one for one in shown if one.verdict != "ok"]),
        bullets([*advice, rule_words(check), "Accuracies in percent, differences in percentage points."]).rstrip(),
        _folded("All cells", _table(check, check.comparisons)),
        _folded("Images that flipped", _flips(check, flipped)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(check: Check, comparisons: Sequence[Comparison]) -> str:
    called = names(check.comparisons)
    rows = [[called[one.name], verdict_words(one), one.reason, *_numbers(one)] for one in comparisons]
    return pipes(COLUMNS, rows, numbers_from=NUMBERS_FROM) if rows else ""


def _numbers(one: Comparison) -> list[str]:
    n = str(one.means.n) if one.means else NO_NUMBER
    return [percent(one.before), percent(one.after), difference(one), n, p_value(one), needed(one)]


def _flips(check: Check, flipped: Sequence[Comparison]) -> str:
    called = names(check.comparisons)
    rows = [[called[one.name], pack_indices(one.lost), pack_indices(one.won)] for one in flipped]
    return pipes(("Cell", "Lost (indices in the data set)", "Won"), rows, numbers_from=3) if rows else ""


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>" if content else ""
