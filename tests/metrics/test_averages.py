"""Averages over cells that share their images."""

import math

import numpy as np
import pandas as pd
import pytest

from harness.metrics import METRICS, Estimate, wilson
from harness.metrics.averages import average, scores

T, F = True, False
Scores = list["pd.Series[float]"]


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "index": np.arange(50) * 3 + 7,
            "label": 1,
            "clean_prediction": rng.integers(1, 3, 50),
            "adversarial_prediction": rng.integers(1, 3, 50),
            "success": rng.random(50) < 0.4,
            "l2": rng.random(50),
            "linf": rng.random(50),
            "passes": rng.integers(1, 20, 50),
        }
    )


def cells(*columns: list[bool], first: int = 0) -> Scores:
    return [pd.Series(column, index=range(first, first + len(column)), dtype=float) for column in columns]


def simulated(n: int, count: int, ease: float, rng: np.random.Generator) -> Scores:
    """Verdicts of several cells that share how hard an image is."""
    verdicts = rng.normal(size=(n, 1)) + rng.normal(size=(n, count)) < ease
    return [pd.Series(column.astype(float)) for column in verdicts.T]


def bootstrap(scored: Scores, resamples: int = 4000) -> tuple[float, float]:
    """The percentile interval of the average, images drawn with replacement: what the closed form stands for."""
    table = pd.concat(scored, axis=1).to_numpy()
    rng = np.random.default_rng(0)
    means = [np.nanmean(table[rng.integers(0, len(table), len(table))], axis=0).mean() for _ in range(resamples)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


@pytest.mark.parametrize("metric", METRICS.names())
def test_every_metric_is_the_mean_of_its_scores(metric: str) -> None:
    scored = scores(frame(), metric)
    assert scored.index.tolist() == frame()["index"].tolist()
    assert scored.mean() == pytest.approx(METRICS.get(metric)(frame()).value)


def test_the_average_is_the_mean_of_the_cells_rates() -> None:
    estimate = average(cells([T, T, T, F], [T, F, F, F]), rates=True)
    assert (estimate.value, estimate.n) == (0.5, 4)


def test_cells_that_count_other_images_have_equal_weight_all_the_same() -> None:
    some = [*cells([T, T, T, F]), *cells([F, T], first=3)]
    estimate = average(some, rates=True)
    assert estimate.value == pytest.approx((0.75 + 0.5) / 2)
    assert estimate.n == 2


def test_one_cell_has_the_plus_four_interval_which_is_close_to_wilsons() -> None:
    estimate, known = average(cells([T] * 30 + [F] * 70), rates=True), wilson(30, 100)
    centre = 32 / 104
    half = 1.959964 * math.sqrt(centre * (1 - centre) / 104)
    assert (estimate.low, estimate.high) == pytest.approx((centre - half, centre + half))
    assert (estimate.low, estimate.high) == pytest.approx((known.low, known.high), abs=0.01)


def test_cells_that_repeat_each_other_are_no_further_evidence() -> None:
    (one,) = simulated(80, 1, 0.3, np.random.default_rng(0))
    assert average([one] * 7, rates=True) == pytest.approx((*average([one], rates=True)[:4], None))


def test_cells_that_differ_make_the_average_more_certain_than_each_of_them() -> None:
    rng = np.random.default_rng(1)
    alone = [pd.Series((rng.random(400) < 0.5).astype(float)) for _ in range(9)]
    # Nine independent cells: a third of the width of one.
    assert average(alone, rates=True).margin == pytest.approx(wilson(200, 400).margin / 3, rel=0.1)


@pytest.mark.parametrize("ease", [0.0, -1.2])
def test_the_interval_is_that_of_a_bootstrap_over_images(ease: float) -> None:
    scored = simulated(500, 8, ease, np.random.default_rng(2))
    estimate, (low, high) = average(scored, rates=True), bootstrap(scored)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.006)


def test_the_interval_is_that_of_a_bootstrap_where_cells_count_other_images() -> None:
    rng = np.random.default_rng(3)
    scored = [one[rng.random(len(one)) < 0.7] for one in simulated(600, 5, 0.4, rng)]
    estimate, (low, high) = average(scored, rates=True), bootstrap(scored)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.006)


def test_all_alike_is_no_certainty() -> None:
    estimate = average(cells([T] * 100, [T] * 100), rates=True)
    assert estimate.value == estimate.high == 1.0
    assert estimate.low == pytest.approx(wilson(100, 100).low, abs=0.02)
    assert average(cells([F] * 100, [F] * 100), rates=True).low == 0.0


@pytest.mark.parametrize("ease", [0.0, -1.5, -3.5])
@pytest.mark.parametrize("n", [30, 200])
def test_ninety_five_percent_of_the_intervals_hold_the_true_rate(ease: float, n: int) -> None:
    rng = np.random.default_rng(n + int(10 * -ease))
    truth = 0.5 * (1 + math.erf(ease / 2))
    made: list[Estimate] = [average(simulated(n, 6, ease, rng), rates=True) for _ in range(600)]
    assert np.mean([estimate.low <= truth <= estimate.high for estimate in made]) >= 0.93
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in made)


def test_means_have_the_normal_interval_of_their_images() -> None:
    first, second = (pd.Series([1.0, 2.0, 3.0, 4.0]), pd.Series([3.0, 2.0, 1.0, 2.0]))
    estimate = average([first, second], rates=False)
    assert estimate.value == 2.25
    assert estimate.margin == pytest.approx(1.959964 * np.std([2, 2, 2, 3], ddof=1) / 2)


def test_an_average_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        average([], rates=True)
    with pytest.raises(ValueError, match="no samples"):
        average(cells([T], []), rates=True)
