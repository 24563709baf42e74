"""A number with its 95% interval and the number of samples behind it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054
"""97.5% quantile of the standard normal distribution."""


class Estimate(NamedTuple):
    """A rate in [0, 1], or a mean, with its 95% interval."""

    value: float
    """The rate or mean."""
    low: float
    """Lower end of the interval; NaN where there is none, as for the spread of several rates."""
    high: float
    """Upper end of the interval; NaN where there is none."""
    n: int
    """Samples that counted."""
    hits: int | None = None
    """Samples that a rate counts as yes; None for means."""

    @property
    def margin(self) -> float:
        """How far the interval reaches from the value, at its farther end: what tables print behind ±.

        Wilson's interval is not centred: 4 of 4 is at least 51%, which half its length would call 76%.
        """
        return max(self.value - self.low, self.high - self.value)


def wilson(hits: int, n: int) -> Estimate:
    """A rate with its Wilson score interval (Wilson 1927), which stays in [0, 1] and is right near 0 and 1.

    Raises:
        ValueError: when nothing was counted (n = 0), or hits lie outside 0 ... n.
    """
    if n <= 0:
        raise ValueError("a rate over no samples is not a number")
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits among {n} samples")
    rate = hits / n
    shrink = 1 + Z_95**2 / n
    centre = (rate + Z_95**2 / (2 * n)) / shrink
    half = Z_95 / shrink * math.sqrt(rate * (1 - rate) / n + Z_95**2 / (4 * n**2))
    # At the ends the formula gives exactly 0 and 1, up to rounding.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == n else min(1.0, centre + half)
    return Estimate(rate, low, high, n, hits)


def mean_of(values: npt.ArrayLike) -> Estimate:
    """The mean of (N,) numbers with its normal interval; the interval of a single number is that number.

    Raises:
        ValueError: when there are no numbers.
    """
    numbers = np.asarray(values, dtype=np.float64)
    n = int(numbers.size)
    if n == 0:
        raise ValueError("a mean over no samples is not a number")
    mean = float(numbers.mean())
    half = Z_95 * float(numbers.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return Estimate(mean, mean - half, mean + half, n)


def mean_over(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of several estimates on the same images (seeds, trainings, targets); n is the smallest of theirs.

    The ends of the interval are the means of the ends. Pooling the counts would count the same images several times;
    this interval is wide enough however strongly the estimates depend on each other.

    Raises:
        ValueError: when there are no estimates.
    """
    if not estimates:
        raise ValueError("a mean over no estimates is not a number")
    if len(estimates) == 1:
        return estimates[0]
    return Estimate(
        value=statistics.fmean(estimate.value for estimate in estimates),
        low=statistics.fmean(estimate.low for estimate in estimates),
        high=statistics.fmean(estimate.high for estimate in estimates),
        n=min(estimate.n for estimate in estimates),
    )
