"""Exact tests of paired differences by their signs, how many images they need, and what many tests at once cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
"""Two-sided error rate of tests."""

POWER = 0.8
"""Chance with which a needed number of images decides."""

EXACT_WORK = 200_000_000
"""Additions that an exact test may cost: a few tenths of a second."""


def two_sided_sign_test(heads: int, tails: int) -> float:
    """How likely a fair coin falls at least as unevenly; 1 without throws."""
    throws = heads + tails
    term = total = 1
    # Integers of any size: exact, and quick enough for tens of thousands of throws.
    for i in range(min(heads, tails)):
        term = term * (throws - i) // (i + 1)
        total += term
    return min(1.0, 2 * total / (1 << throws))


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
