"""Paired tests: two models, or two attacks, or two groups of them, on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.core.errors import HarnessError
from harness.metrics.counting import correct_under_attack
from harness.metrics.estimate import Z_95

LEVEL = 0.05
"""Two-sided error rate of tests."""

POWER = 0.8
"""Chance with which a needed number of images decides."""

EXACT_WORK = 200_000_000
"""Additions that an exact test may cost: a few tenths of a second."""


class PairedTest(NamedTuple):
    """Exact McNemar test of the hypothesis that both are right equally often."""

    only_first: int
    """Samples that only the first gets right."""
    only_second: int
    """Samples that only the second gets right."""
    n: int
    """All samples."""
    p_value: float
    """Two-sided; 1 when they never differ."""

    @property
    def difference(self) -> float:
        """Accuracy of the first minus accuracy of the second."""
        return (self.only_first - self.only_second) / self.n


def mcnemar(correct_first: npt.ArrayLike, correct_second: npt.ArrayLike) -> PairedTest:
    """Compare two on the same samples (McNemar 1947), exactly: the discordant samples are coin throws.

    Args:
        correct_first: (N,) booleans.
        correct_second: (N,) booleans, of the same samples in the same order.

    Raises:
        ValueError: when the lengths differ or there are no samples.
    """
    first, second = np.asarray(correct_first, dtype=bool), np.asarray(correct_second, dtype=bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"paired samples have equal lengths, not {first.shape} and {second.shape}")
    if first.size == 0:
        raise ValueError("a test over no samples is not a number")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return PairedTest(only_first, only_second, int(first.size), two_sided_sign_test(only_first, only_second))


def two_sided_sign_test(heads: int, tails: int) -> float:
    """How likely a fair coin falls at least as unevenly; 1 without throws."""
    throws = heads + tails
    term = total = 1
    # Integers of any size: exact, and quick enough for tens of thousands of throws.
    for i in range(min(heads, tails)):
        term = term * (throws - i) // (i + 1)
        total += term
    return min(1.0, 2 * total / (1 << throws))


def compare_robustness(first: pd.DataFrame, second: pd.DataFrame) -> PairedTest:
    """Which of two records is more robust: McNemar on correctness under attack, samples matched by index.

    Raises:
        HarnessError: when the records are on different images.
    """
    one, two = first.sort_values("index"), second.sort_values("index")
    if not np.array_equal(one["index"].to_numpy(), two["index"].to_numpy()):
        raise HarnessError(
            f"a paired test needs the same images; these records have {len(one)} and {len(two)} images, "
            "not the same ones.\n     run both with the same data set, samples and indices"
        )
    return mcnemar(correct_under_attack(one), correct_under_attack(two))


class PairedMeans(NamedTuple):
    """Two groups of verdicts on the same images: their rates, the difference, and a sign-flip test of it."""

    first: float
    """Mean over images of the first group's mean per image."""
    second: float
    """The same of the second group."""
    difference: float
    """Rate of the first minus rate of the second."""
    low: float
    """Lower end of the 95% interval of the difference."""
    high: float
    """Upper end of the interval."""
    n: int
    """Images."""
    p_value: float
    """Two-sided; 1 when no image has a difference."""
    square: float
    """Mean over images of the squared difference; with one verdict per side, the share of discordant images."""
    step: float
    """The unit in which differences of images are counted; 1 with one verdict per side."""

    def needed_n(self, level: float = LEVEL, power: float = POWER) -> float:
        """Images that would decide if what was seen were the truth; see `needed_images`."""
        return needed_images(self.difference, self.square, self.step, level, power)


def compare_means(first: npt.ArrayLike, second: npt.ArrayLike) -> PairedMeans:
    """Compare two groups of cells on the same images: per image the mean verdict of a group, over images the test.

    The images are the sample, so that however strongly the verdicts on one image depend on each other, they count as
    one. With one verdict per side this is the exact McNemar test. The interval is that of Bonett and Price (2012) for
    paired rates, carried over to means per image: the normal interval after adding one image for either side. It needs
    no resampling, and unlike a bootstrap has a length where all images say the same.

    Args:
        first: (N, A) booleans, a column per cell.
        second: (N, B) booleans, of the same images in the same order.

    Raises:
        ValueError: when the numbers of images differ, or there is no image or no cell.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.ndim != 2 or two.ndim != 2 or len(one) != len(two):
        raise ValueError(
            f"groups of verdicts on the same images are (N, A) and (N, B), not {one.shape} and {two.shape}"
        )
    if one.size == 0 or two.size == 0:
        raise ValueError("a test over no samples is not a number")
    unit = math.lcm(one.shape[1], two.shape[1])
    counts = one.sum(axis=1) * (unit // one.shape[1]) - two.sum(axis=1) * (unit // two.shape[1])
    low, high = _interval(counts / unit)
    return PairedMeans(
        first=float(one.mean()),
        second=float(two.mean()),
        difference=int(counts.sum()) / (unit * len(one)),
        low=low,
        high=high,
        n=len(one),
        p_value=sign_flip_test(counts),
        square=float(np.mean((counts / unit) ** 2)),
        step=(int(np.gcd.reduce(counts)) or unit) / unit,
    )


def _interval(differences: npt.NDArray[np.float64]) -> tuple[float, float]:
    adjusted = np.append(differences, (1.0, -1.0))
    half = Z_95 * float(adjusted.std()) / math.sqrt(adjusted.size)
    centre = float(adjusted.mean())
    return max(-1.0, centre - half), min(1.0, centre + half)


def sign_flip_test(differences: npt.ArrayLike) -> float:
    """How likely a sum at least as far from 0 is, when the sign of every difference is a fair coin's; two-sided.

    The permutation test of paired samples (Fisher 1935). Differences are counts, so that the sum has few values and
    its distribution is found exactly, image by image; nothing is drawn. Equal differences make it the sign test. Where
    the distribution would cost more than EXACT_WORK, with thousands of images, its normal limit stands for it.

    Args:
        differences: (N,) integers.
    """
    steps = np.asarray(differences, dtype=np.int64)
    steps = steps[steps != 0]
    if steps.size == 0:
        return 1.0
    steps //= np.gcd.reduce(steps)
    sides = int(steps[steps > 0].sum()), int(-steps[steps < 0].sum())
    sizes = np.sort(np.abs(steps))
    if sizes[-1] == 1:
        return two_sided_sign_test(*sides)
    if sides[0] == sides[1]:
        return 1.0
    if sizes.size * (min(sides) + 1) > EXACT_WORK:
        # Half a step towards the middle, as sums are two apart.
        z = (abs(sides[0] - sides[1]) - 1) / math.sqrt(float((sizes**2).sum()))
        return math.erfc(z / math.sqrt(2))
    return min(1.0, 2 * _chance_of_at_most(min(sides), sizes))


def _chance_of_at_most(most: int, sizes: npt.NDArray[np.int64]) -> float:
    """How likely the sizes whose coins show heads add up to at most a number."""
    chances = np.zeros(most + 1)
    chances[0] = 1.0
    for size in sizes:
        chances *= 0.5
        if size <= most:
            chances[size:] += chances[: most + 1 - size].copy()
    return float(chances.sum())


def needed_images(
    difference: float, square: float, step: float = 1.0, level: float = LEVEL, power: float = POWER
) -> float:
    """Images that a paired test needs to find a difference, a whole number; infinite when there is none.

    The sample size of McNemar's test (Miettinen 1968; Connor 1987), with the correction for exact tests, whose sums
    are whole steps: n images give a sum n d, whose standard deviation is sqrt(n s) without a difference and
    sqrt(n (s - d^2)) with it.

    Args:
        difference: d, mean difference of an image.
        square: s, mean squared difference; for one verdict per side, the share of discordant images.
        step: unit of the differences of images.
        level: two-sided error rate.
        power: chance to find the difference.
    """
    size = abs(difference)
    if size == 0:
        return math.inf
    normal = NormalDist()
    reach = normal.inv_cdf(1 - level / 2) * math.sqrt(square)
    reach += normal.inv_cdf(power) * math.sqrt(max(0.0, square - difference**2))
    root = (reach + math.sqrt(reach**2 + 4 * size * step)) / (2 * size)
    return float(math.ceil(root**2))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number (Holm 1979): each may be compared with the level of the whole family."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted
