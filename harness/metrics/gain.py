"""Relative gains: how much greater one rate is than another on the same images, as a share of the other."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.metrics.estimate import Z_95, Estimate
from harness.metrics.paired import PairedMeans

Verdicts = npt.NDArray[np.bool_]
"""(N, cells) what every cell says about every image."""


def relative_gain(changed: Verdicts, base: Verdicts) -> Estimate | None:
    """(B - P) / P of the rates B and P of two groups of cells, with its normal interval by the delta method.

    The images are the sample: to first order the gain moves with an image by (b - (B / P) p) / P, of which the interval
    is that of the mean, after adding one image in favour of either group, so that it has a length everywhere.

    Args:
        changed: (N, A), a column per cell of B.
        base: (N, C), of the same images in the same order, a column per cell of P.

    Returns:
        None where P is 0.
    """
    if not base.any():
        return None
    centre, influence = _linearized(changed, base)
    half = Z_95 * _standard_error(influence)
    return Estimate(_gain(changed, base), max(-1.0, centre - half), centre + half, len(base))


def compare_gains(first: Verdicts, first_base: Verdicts, second: Verdicts, second_base: Verdicts) -> PairedMeans | None:
    """Whether one relative gain differs from another on the same images, by the delta method of `relative_gain`.

    The difference moves with an image by the difference of its influences on both; the test is the normal one.

    Returns:
        None where a gain is over a rate of 0.
    """
    if not (first_base.any() and second_base.any()):
        return None
    one, two = _linearized(first, first_base), _linearized(second, second_base)
    difference, influence = one.centre - two.centre, one.influence - two.influence
    error = _standard_error(influence)
    half = Z_95 * error
    gains = _gain(first, first_base), _gain(second, second_base)
    return PairedMeans(
        first=gains[0],
        second=gains[1],
        difference=gains[0] - gains[1],
        low=difference - half,
        high=difference + half,
        n=len(first),
        p_value=2 * NormalDist().cdf(-abs(difference) / error) if error else 1.0,
        square=float(influence.var()) + difference**2,
        step=0.0,
    )


class _Linearized(NamedTuple):
    """A gain near what was seen, with the added images."""

    centre: float
    """The gain."""
    influence: npt.NDArray[np.float64]
    """(N + 2,) how it moves with each image; 0 on average."""


def _linearized(changed: Verdicts, base: Verdicts) -> _Linearized:
    over, under = np.append(changed.mean(axis=1), (1.0, 0.0)), np.append(base.mean(axis=1), (0.0, 1.0))
    ratio = over.mean() / under.mean()
    return _Linearized(float(ratio - 1), (over - ratio * under) / under.mean())


def _standard_error(influence: npt.NDArray[np.float64]) -> float:
    return float(influence.std()) / math.sqrt(influence.size)


def _gain(changed: Verdicts, base: Verdicts) -> float:
    return float(changed.mean() / base.mean()) - 1
