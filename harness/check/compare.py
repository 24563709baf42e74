"""Records against a baseline: a paired test per cell, and one verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from harness.check.baseline import Baseline, CellName, Entry
from harness.check.changes import Change, changed
from harness.check.rule import Rule
from harness.check.take import Taken
from harness.metrics.paired import PairedMeans, compare_means
from harness.metrics.sign_tests import holm

Verdict = Literal[
    "regression", "cannot be compared", "gone", "stronger attack", "weaker attack", "improvement", "new cell", "ok"
]
"""From what needs attention most to what needs none."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

INCOMPARABLE: tuple[Verdict, ...] = ("cannot be compared", "gone")
"""Verdicts on cells about which the gate knows nothing."""

EXIT_INCOMPLETE, EXIT_REGRESSION = 1, 3


@dataclass(frozen=True)
class Comparison:
    """A cell before and now."""

    name: CellName
    """How the suite calls it."""
    verdict: Verdict
    """What came out."""
    reason: str = ""
    """What has to be known beside it; may be empty."""
    before: float | None = None
    """Accuracy in the baseline, a share; None for a new cell."""
    after: float | None = None
    """Accuracy now; None without a record."""
    means: PairedMeans | None = None
    """The test on identical images, `difference` being now minus before; None where there is nothing to compare."""
    adjusted: float = 1.0
    """P value, adjusted for the number of cells (Holm); 1 without a test."""
    needed_n: float | None = None
    """Images that would decide about a drop that is not significant, if what was seen were the truth; else None."""
    lost: tuple[int, ...] = ()
    """Indices of the images that the target got right before and gets wrong now."""
    won: tuple[int, ...] = ()
    """Indices of those that it got wrong before and gets right now."""

    @property
    def is_lower(self) -> bool:
        """Whether it passes although its accuracy dropped: a drop that does not count, and may yet be one."""
        return self.verdict == "ok" and self.means is not None and self.means.difference < 0


@dataclass(frozen=True)
class Check:
    """Everything that the gate found."""

    suite: str
    """The suite's name."""
    baseline: str
    """The baseline's file."""
    written: str
    """When it was written, UTC."""
    rule: Rule
    """When an accuracy has changed."""
    comparisons: tuple[Comparison, ...]
    """In the order of the suite, cells of the baseline alone behind."""

    def having(self, *verdicts: Verdict) -> list[Comparison]:
        """The cells with one of these verdicts."""
        return [comparison for comparison in self.comparisons if comparison.verdict in verdicts]

    @property
    def lower(self) -> list[Comparison]:
        """The cells that pass although their accuracy dropped."""
        return [comparison for comparison in self.comparisons if comparison.is_lower]

    @property
    def exit_code(self) -> int:
        """3: a regression. 1: else, a cell without a comparison. 0: none of these."""
        if self.having("regression"):
            return EXIT_REGRESSION
        return EXIT_INCOMPLETE if self.having(*INCOMPARABLE) else 0


def compare(old: Baseline, now: Taken, rule: Rule) -> list[Comparison]:
    """Compare records with a baseline, cell by cell.

    P values are adjusted for all cells that baseline and suite have in common, those without records included, so that
    the verdict on a cell does not depend on how much has run.
    """
    before, after = old.entries(), now.baseline.entries()
    made: list[Comparison] = []
    for name in dict.fromkeys((*after, *now.missing, *before)):
        if name not in after:
            verdict: Verdict = "cannot be compared" if name in now.missing else "gone"
            reason = now.missing.get(name, "in the baseline only")
            share = float(old.verdicts(before[name]).mean()) if name in before else None
            made.append(Comparison(name, verdict, reason, before=share))
        elif name not in before:
            share = float(now.baseline.verdicts(after[name]).mean())
            made.append(Comparison(name, "new cell", "not in the baseline", after=share))
        else:
            made.append(_tested(old, before[name], now.baseline, after[name]))
    common = [i for i, comparison in enumerate(made) if comparison.name in before and comparison.verdict != "gone"]
    adjusted = holm([means.p_value if (means := made[i].means) else 1.0 for i in common])
    for i, p_value in zip(common, adjusted, strict=True):
        if made[i].means:
            change = changed(before[made[i].name].question, after[made[i].name].question)
            made[i] = _judged(replace(made[i], adjusted=p_value), change, rule)
    undecided = sum(made[i].verdict in ("ok", "cannot be compared") for i in common)
    return [_with_need(one, undecided, rule) for one in made]


def _tested(old: Baseline, before: Entry, new: Baseline, after: Entry) -> Comparison:
    """Two cells of one name, tested where they are about the same images and the same thing changed."""
    one, two = old.verdicts(before), new.verdicts(after)
    made = Comparison(before.name, "cannot be compared", before=float(one.mean()), after=float(two.mean()))
    change = changed(before.question, after.question)
    if change.images or len(one) != len(two):
        return replace(made, reason=_other_images(old, before, new, after))
    if change.target and change.attack:
        return replace(made, reason=f"weights and attack changed ({', '.join(change.attack)}): either may be the cause")
    indices = new.images_of(after).positions
    return replace(
        made,
        means=compare_means(two[:, None], one[:, None]),
        lost=tuple(indices[one & ~two].tolist()),
        won=tuple(indices[two & ~one].tolist()),
    )


def _other_images(old: Baseline, before: Entry, new: Baseline, after: Entry) -> str:
    one, two = old.images_of(before).positions, new.images_of(after).positions
    if np.array_equal(one, two):
        return "other images: the indices are the same, pixels or labels differ"
    common = np.intersect1d(one, two).size
    return f"other images: indices differ ({len(one)} before, {len(two)} now, {common} in common)"


def _judged(tested: Comparison, change: Change, rule: Rule) -> Comparison:
    """A tested cell with its verdict: what changed says whose a difference is."""
    assert tested.means is not None
    difference, blamed = tested.means.difference, "attack" if change.other_attack and not change.target else "model"
    verdicts: dict[str, tuple[Verdict, Verdict]] = {
        "attack": ("stronger attack", "weaker attack"),
        "model": ("regression", "improvement"),
    }
    lower, higher = verdicts[blamed]
    counts = rule.differs(difference, tested.adjusted)
    verdict: Verdict = "ok" if not counts else lower if difference < 0 else higher
    return replace(tested, verdict=verdict, reason=_reason(tested, change))


def _reason(tested: Comparison, change: Change) -> str:
    crafted = [f"crafted on other weights of {tested.name.surrogate}"] if change.surrogate else []
    if change.target:
        return ", ".join(["other weights", *crafted])
    if change.other_attack:
        return f"same weights; {', '.join([*crafted, *change.attack])}"
    if flipped := len(tested.lost) + len(tested.won):
        return (
            f"not reproducible: {flipped} image{'s differ' if flipped > 1 else ' differs'} with the same weights, "
            "images and attack; look at the machine and at versions"
        )
    return ""


def _with_need(one: Comparison, undecided: int, rule: Rule) -> Comparison:
    """A cell, with the images that a drop needs which is not significant, at the level that Holm leaves to it."""
    if one.is_lower and one.means and rule.tolerance is None:
        return replace(one, needed_n=one.means.needed_n(rule.level / undecided))
    return one
