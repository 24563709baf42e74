"""Claims and what the records say about them: a paired test per pair of cells, and one verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from harness.cells import Cells
from harness.metrics.averages import scores_in_common
from harness.metrics.gain import compare_gains
from harness.metrics.paired import PairedMeans, compare_means
from harness.metrics.sign_tests import LEVEL, holm
from harness.report.evidence import Evidence
from harness.report.keeping_words import keep_sentences
from harness.report.layout import default_denominator
from harness.report.measure import Measurement, counted_outcomes
from harness.report.pairing import pair_up
from harness.report.pairs import Pair, Pairing
from harness.report.paper_claims import filled
from harness.report.table import Missing
from harness.report.words import CLEAN_RATES, GAIN
from harness.spec import ClaimSpec

Verdict = Literal["reproduced", "contradicted", "underpowered", "not run"]


@dataclass(frozen=True)
class Comparison:
    """A pair of a claim and the test of it."""

    pair: Pair
    """What was compared."""
    means: PairedMeans | None
    """Both values, their difference and its test, over the images that count in all cells; None when missing."""
    adjusted: float = 1.0
    """P value, adjusted for all pairs of the claim (Holm); 1 when missing."""
    needed_n: float | None = None
    """Images that would decide an undecided pair if what was seen were the truth; None for the others."""
    missing: Missing = ""
    """Why there is no test."""
    detail: str = ""
    """One line more about why."""

    @property
    def verdict(self) -> Verdict:
        """Of this pair alone, at the level of the claim."""
        if self.means is None:
            return "not run"
        if self.adjusted > LEVEL:
            return "underpowered"
        return "reproduced" if self.means.difference > 0 else "contradicted"


@dataclass(frozen=True)
class Claim:
    """A claim with everything that the records say about it."""

    spec: ClaimSpec
    """What is claimed."""
    denominator: str
    """Which images count."""
    comparisons: tuple[Comparison, ...]
    """Its pairs, in the order of the suite."""
    alone: tuple[str, ...] = ()
    """What one side has and the other lacks."""
    absent: int = 0
    """Pairs of a paper's claim of which the suite has neither side."""
    untrained: tuple[str, ...] = ()
    """Models that were left out, for which other trainings of their networks stand."""
    whose: str = "this suite"
    """How sentences refer to where the cells come from."""
    kept: tuple[str, ...] = ()
    """Which images its data sets keep, in sentences; none where all count."""

    @property
    def verdict(self) -> Verdict:
        """One for the whole claim.

        contradicted: a pair is significant against it. Else not run: a pair lacks its records. Else reproduced: all
        pairs are significant as claimed. Else underpowered.
        """
        verdicts = [comparison.verdict for comparison in self.comparisons]
        worst: tuple[Verdict, ...] = ("contradicted", "not run", "underpowered")
        return next((verdict for verdict in worst if verdict in verdicts), "reproduced")

    @property
    def tests(self) -> list[PairedMeans]:
        """Of the pairs that have their records."""
        return [comparison.means for comparison in self.comparisons if comparison.means]

    @property
    def needed_n(self) -> float | None:
        """Images that would decide every undecided pair; None when none is undecided."""
        return max((c.needed_n for c in self.comparisons if c.needed_n is not None), default=None)

    def count(self, *verdicts: Verdict) -> int:
        """How many pairs have one of these verdicts."""
        return sum(comparison.verdict in verdicts for comparison in self.comparisons)

    @property
    def holding(self) -> int:
        """How many pairs differ as claimed, significantly or not."""
        return sum(means.difference > 0 for means in self.tests)


def judge(claim: ClaimSpec, evidence: Evidence, among: Cells | None = None) -> Claim:
    """Test every pair of a claim.

    P values are adjusted for all pairs of the plan, those without records included, so that a verdict on a pair does
    not depend on how much has run.

    Args:
        claim: what is claimed.
        evidence: what the store knows.
        among: the cells to compare, some of those of the evidence; all by default.

    Raises:
        HarnessError: when the claim does not fit the cells.
    """
    pairing = pair_up(claim, among or evidence.cells)
    claim = filled(claim)
    denominator = claim.denominator or ("all" if claim.paper else default_denominator(claim.value))
    tested = [_compare(pair, claim, denominator, evidence) for pair in pairing.pairs]
    adjusted = holm([comparison.means.p_value if comparison.means else 1.0 for comparison in tested])
    tested = [replace(comparison, adjusted=p) for comparison, p in zip(tested, adjusted, strict=True)]
    return Claim(
        claim, denominator, tuple(_with_needs(tested)), pairing.alone, pairing.absent, pairing.untrained,
        evidence.cells.whose, tuple(_kept(claim, pairing, evidence)),
    )  # fmt: skip


def _kept(claim: ClaimSpec, pairing: Pairing, evidence: Evidence) -> Iterator[str]:
    """What the data sets leave out of a suite's own claims; those of papers count all images."""
    if not claim.paper and claim.value not in CLEAN_RATES:
        datasets = {evidence.data(cell).keep for pair in pairing.pairs for cell in pair.cells}
        yield from keep_sentences(datasets, evidence)


def _with_needs(comparisons: list[Comparison]) -> Iterator[Comparison]:
    """The comparisons, undecided ones with the images they need at the level that Holm leaves to the undecided."""
    undecided = sum(comparison.verdict in ("underpowered", "not run") for comparison in comparisons)
    for comparison in comparisons:
        if comparison.means and comparison.verdict == "underpowered":
            yield replace(comparison, needed_n=comparison.means.needed_n(LEVEL / undecided))
        else:
            yield comparison


def _compare(pair: Pair, claim: ClaimSpec, denominator: str, evidence: Evidence) -> Comparison:
    value: str = claim.value
    gain, metric = value == GAIN, "robust_accuracy" if value == GAIN else value
    datasets = [data.whole if claim.paper else data for data in map(evidence.data, pair.cells)]
    counted = [
        counted_outcomes(cell, metric, denominator, data, evidence)
        for cell, data in zip(pair.cells, datasets, strict=True)
    ]
    for reason, words in (("failed", "failed"), ("not run", "missing")):
        lacking = [one for one in counted if isinstance(one, Measurement) and one.missing == reason]
        if lacking:
            details = dict.fromkeys(measurement.detail.rstrip(".") for measurement in lacking if measurement.detail)
            detail = ": ".join([f"{len(lacking)} of {len(counted)} records {words}", *details])
            return Comparison(pair, None, missing=lacking[0].missing, detail=detail)
    shared = scores_in_common([one for one in counted if isinstance(one, pd.DataFrame)], metric)
    verdicts = shared.to_numpy(dtype=bool)
    if not len(verdicts):
        return Comparison(pair, None, missing="undefined", detail="no image counts in all its cells")
    groups = np.split(verdicts, np.cumsum([len(group) for group in pair.groups])[:-1], axis=1)
    means = compare_gains(*groups) if gain else compare_means(*groups)
    if means is None:
        return Comparison(pair, None, missing="undefined", detail="a gain over nothing: no image is right without it")
    return Comparison(pair, means)
