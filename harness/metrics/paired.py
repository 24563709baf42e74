"""Paired tests: two models, or two attacks, on the same images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.core.errors import HarnessError
from harness.metrics.counting import correct_under_attack


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
