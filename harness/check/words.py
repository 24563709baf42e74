"""What all formats call cells, verdicts and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.check.baseline import CellName
from harness.check.compare import VERDICTS, Check, Comparison, Verdict
from harness.report.claim_texts import p_words
from harness.report.words import NO_NUMBER

PLURALS: dict[Verdict, str] = {
    "regression": "regressions", "cannot be compared": "cannot be compared", "gone": "gone",
    "stronger attack": "stronger attacks", "weaker attack": "weaker attacks", "improvement": "improvements",
    "new cell": "new cells", "ok": "ok",
}  # fmt: skip
"""Verdicts on several cells."""

ADVICE: dict[Verdict, str] = {
    "regression": "The model got worse; if that is meant, update the baseline.",
    "cannot be compared": "Run the suite for what has not run. Where the question changed, update the baseline; where "
    "weights changed with it, run and update with the old weights first, then check the new ones.",
    "gone": "If cells were meant to go, update the baseline.",
    "stronger attack": "The weights are those of the baseline, the attack is not; update the baseline.",
    "weaker attack": "The weights are those of the baseline, the attack is not; if it was meant to find less, update "
    "the baseline.",
    "improvement": "Update the baseline to hold it.",
    "new cell": "Update the baseline to hold it.",
}
"""What to do."""


def heading(check: Check) -> str:
    """The result in one line."""
    having = {verdict: len(check.having(verdict)) for verdict in VERDICTS}
    counts = [counted(number, verdict) for verdict, number in having.items() if number]
    lower = [f"{len(check.lower)} of these lower, but not enough to count"] if check.lower else []
    result = {0: "passed", 1: "incomplete", 3: "failed"}[check.exit_code]
    cells = len(check.comparisons)
    return f"{check.suite}: {result}. {cells} cell{'' if cells == 1 else 's'}: {', '.join([*counts, *lower])}"


def counted(number: int, verdict: Verdict) -> str:
    """A number of verdicts in words: "2 regressions"."""
    return f"{number} {verdict if number == 1 else PLURALS[verdict]}"


def rule_words(check: Check) -> str:
    """How verdicts were found, in a sentence."""
    if check.rule.tolerance is None:
        rule = f"A difference counts where p ≤ {check.rule.level:g} (exact McNemar test, Holm over the cells)"
    else:
        rule = f"A difference counts where it is larger than {check.rule.tolerance:g} percentage points"
    return f"{rule}. Compared with {check.baseline} of {check.written}."


def full_name(name: CellName) -> str:
    """A cell's name with everything in it: the same for ever."""
    return f"{short_name(name)}, {name.dataset}, seed {name.seed}"


def short_name(name: CellName) -> str:
    """Attack, threat model and models: "PGD L∞ 8/255, resnet8" or "MI-FGSM L∞ 8/255, resnet8 → vgg6"."""
    models = f"{name.surrogate} → {name.target}" if name.mode == "transfer" else name.target
    return f"{' '.join(filter(None, (name.attack, name.threat)))}, {models}"


def names(comparisons: Iterable[Comparison]) -> dict[CellName, str]:
    """The cells of a check by the shortest names that tell them apart: data set and seed where there are several."""
    cells = [comparison.name for comparison in comparisons]
    datasets, seeds = len({cell.dataset for cell in cells}), len({cell.seed for cell in cells if cell.threat})

    def called(cell: CellName) -> str:
        dataset = [cell.dataset] if datasets > 1 else []
        seed = [f"seed {cell.seed}"] if seeds > 1 and cell.threat else []
        return ", ".join([short_name(cell), *dataset, *seed])

    return {cell: called(cell) for cell in cells}


def verdict_words(comparison: Comparison) -> str:
    """A verdict, with a word for drops that do not count."""
    return "ok, but lower" if comparison.is_lower else comparison.verdict


def percent(share: float | None) -> str:
    """A share in percent."""
    return NO_NUMBER if share is None else f"{100 * share:.1f}"


def difference(comparison: Comparison, *, interval: bool = True) -> str:
    """Now minus before in percentage points, with its 95% interval."""
    means = comparison.means
    if means is None:
        return NO_NUMBER
    ends = f" ({100 * means.low:+.1f} to {100 * means.high:+.1f})" if interval else ""
    return f"{100 * means.difference:+.1f}{ends}"


def p_value(comparison: Comparison) -> str:
    """The adjusted p value."""
    return p_words(comparison.adjusted) if comparison.means else NO_NUMBER


def needed(comparison: Comparison) -> str:
    """Images that would decide; empty where the question does not arise."""
    return "" if comparison.needed_n is None else f"{comparison.needed_n:,.0f}"


def sentence(comparison: Comparison) -> str:
    """What is known about a cell, in a line."""
    means, reason, p = comparison.means, comparison.reason, p_value(comparison)
    if means is None:
        return reason
    parts = [
        f"{comparison.name.metric} {percent(comparison.before)}% → {percent(comparison.after)}%",
        f"{difference(comparison)} points, p {p if p.startswith('<') else '= ' + p}, n = {means.n}",
        *([f"about {needed(comparison)} images would decide"] if comparison.needed_n else []),
        *([reason] if reason else []),
    ]
    return f"{parts[0]}: {'; '.join(parts[1:])}"


def some(items: Sequence[object], most: int) -> str:
    """The first few of many: "3, 17 and 12 more"."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def by_reason(comparisons: Iterable[Comparison]) -> dict[tuple[Verdict, str], list[Comparison]]:
    """Cells with one verdict for one reason, together."""
    groups: dict[tuple[Verdict, str], list[Comparison]] = {}
    for comparison in comparisons:
        if comparison.reason:
            groups.setdefault((comparison.verdict, comparison.reason), []).append(comparison)
    return groups


def notable(check: Check) -> list[Comparison]:
    """The cells that are not simply as they were, those that need attention most first."""
    changed = [c for c in check.comparisons if c.verdict != "ok" or c.is_lower or c.reason.startswith("not rep")]
    return sorted(changed, key=lambda comparison: VERDICTS.index(comparison.verdict))
