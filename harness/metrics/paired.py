"""Paired tests: two models, or two attacks, or two groups of them, on the same images."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.core.errors import HarnessError
from harness.metrics.counting import correct_under_attack
from harness.metrics.estimate import Z_95
from harness.metrics.sign_tests import LEVEL, POWER, needed_images, sign_flip_test, two_sided_sign_test


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
