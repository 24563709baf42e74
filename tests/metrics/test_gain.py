"""Relative gains: against the jackknife, the bootstrap, and what can be counted."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from harness.metrics.gain import compare_gains, relative_gain
from harness.metrics.paired import PairedMeans

Verdicts = npt.NDArray[np.bool_]


def verdicts(*shares: float, n: int = 400, seed: int = 0) -> list[Verdicts]:
    """Groups of one cell each that are right on these shares of images; hard images are hard for all."""
    hardness = np.random.default_rng(seed).uniform(size=(n, 1))
    noise = np.random.default_rng(seed + 1).uniform(-0.2, 0.2, size=(n, len(shares)))
    return list((hardness + noise < shares)[:, :, None].swapaxes(0, 1))


def gain(changed: Verdicts, base: Verdicts) -> float:
    return float(changed.mean() / base.mean()) - 1


def compared(*groups: Verdicts) -> PairedMeans:
    means = compare_gains(*groups)
    assert means is not None
    return means


def resampled(groups: list[Verdicts], times: int = 2000) -> list[list[Verdicts]]:
    generator, n = np.random.default_rng(7), len(groups[0])
    return [[group[rows] for group in groups] for rows in generator.integers(0, n, size=(times, n))]


def test_a_gain_is_a_share_of_what_it_is_over() -> None:
    base, changed = np.zeros((20, 1), dtype=bool), np.zeros((20, 1), dtype=bool)
    base[:4], changed[:10] = True, True
    estimate = relative_gain(changed, base)
    assert estimate is not None
    assert (estimate.value, estimate.n, estimate.hits) == (1.5, 20, None)


def test_several_cells_mean_their_average() -> None:
    one, two, base = verdicts(0.6, 0.4, 0.3)
    both = relative_gain(np.concatenate([one, two], axis=1), base)
    assert both is not None
    assert both.value == pytest.approx((gain(one, base) + gain(two, base)) / 2)


def test_the_interval_is_as_wide_as_that_of_a_bootstrap_over_images() -> None:
    groups = verdicts(0.5, 0.3)
    estimate = relative_gain(*groups)
    assert estimate is not None
    low, high = np.quantile([gain(*drawn) for drawn in resampled(groups)], [0.025, 0.975])
    assert estimate.margin == pytest.approx((high - low) / 2, rel=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(300):
        estimate = relative_gain(*verdicts(0.45, 0.25, n=300, seed=10 * seed))
        assert estimate is not None
        covered += estimate.low <= 0.45 / 0.25 - 1 <= estimate.high
    assert 0.92 <= covered / 300 <= 0.98


def test_no_gain_has_an_interval_around_it_too() -> None:
    (base,) = verdicts(0.3)
    estimate = relative_gain(base, base)
    assert estimate is not None
    assert estimate.low < estimate.value == 0 < estimate.high


def test_a_loss_of_everything_is_no_less_than_all() -> None:
    (base,) = verdicts(0.3)
    estimate = relative_gain(np.zeros_like(base), base)
    assert estimate is not None
    assert estimate.low == estimate.value == -1 < estimate.high


def test_over_nothing_there_is_no_gain() -> None:
    (changed,) = verdicts(0.3)
    nothing = np.zeros_like(changed)
    assert relative_gain(changed, nothing) is None
    assert compare_gains(changed, changed, changed, nothing) is None
    assert compare_gains(changed, nothing, changed, changed) is None


def test_two_gains_differ_by_their_difference_with_the_interval_of_a_bootstrap() -> None:
    groups = verdicts(0.5, 0.25, 0.5, 0.4)
    means = compared(*groups)
    differences = [gain(*drawn[:2]) - gain(*drawn[2:]) for drawn in resampled(groups)]
    low, high = np.quantile(differences, [0.025, 0.975])
    assert means.difference == means.first - means.second == gain(*groups[:2]) - gain(*groups[2:])
    assert means.high - means.low == pytest.approx(high - low, rel=0.1)
    assert means.p_value < 1e-4


def test_a_difference_is_significant_where_its_interval_leaves_out_zero() -> None:
    for seed in range(50):
        means = compared(*verdicts(0.4, 0.3, 0.5, 0.42, n=200, seed=seed))
        assert (means.p_value < 0.05) == (not means.low <= 0 <= means.high)


def test_a_gain_does_not_differ_from_itself() -> None:
    changed, base = verdicts(0.5, 0.3)
    means = compared(changed, base, changed, base)
    assert (means.difference, means.p_value) == (0, 1)
    assert means.needed_n() == math.inf


def test_more_images_decide_what_a_few_do_not() -> None:
    few = compared(*verdicts(0.4, 0.3, 0.5, 0.42, n=100))
    needed = few.needed_n()
    assert few.p_value > 0.05
    assert 100 < needed < math.inf
