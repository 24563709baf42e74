import math

import pytest

from harness.metrics import Estimate, mean_of, mean_over, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # The textbook example of 8 in 10.
        (8, 10, 0.4902, 0.9433),
    ],
)
def test_wilson_interval_has_its_published_values(hits: int, n: int, low: float, high: float) -> None:
    estimate = wilson(hits, n)
    assert estimate.value == hits / n
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5.1e-5)
    assert (estimate.n, estimate.hits) == (n, hits)


def test_wilson_interval_ends_are_the_roots_of_the_score_equation() -> None:
    estimate = wilson(3, 7)
    for end in (estimate.low, estimate.high):
        assert abs(3 / 7 - end) / math.sqrt(end * (1 - end) / 7) == pytest.approx(1.959963984540054)


def test_wilson_interval_at_the_ends_touches_zero_and_one_and_has_a_width() -> None:
    assert wilson(0, 20).low == 0.0
    assert wilson(0, 20).high > 0.1
    assert wilson(20, 20).high == 1.0
    assert wilson(20, 20).low < 0.9


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_a_rate_over_nothing_or_of_impossible_hits_raises(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        wilson(hits, n)


def test_no_end_of_the_interval_lies_beyond_the_margin() -> None:
    assert Estimate(0.5, 0.4, 0.8, 10).margin == pytest.approx(0.3)
    assert Estimate(0.5, 0.3, 0.6, 10).margin == pytest.approx(0.2)


def test_mean_of_has_the_normal_interval() -> None:
    estimate = mean_of([1.0, 2.0, 3.0, 4.0])
    half = 1.959963984540054 * math.sqrt(5 / 3) / 2
    assert estimate == pytest.approx((2.5, 2.5 - half, 2.5 + half, 4, None))


def test_mean_of_a_single_number_is_that_number() -> None:
    assert mean_of([2.0]) == (2.0, 2.0, 2.0, 1, None)


def test_mean_of_nothing_raises() -> None:
    with pytest.raises(ValueError, match="no samples"):
        mean_of([])
    with pytest.raises(ValueError, match="no estimates"):
        mean_over([])


def test_mean_over_estimates_does_not_shrink_the_interval_by_counting_images_twice() -> None:
    one = wilson(8, 10)
    both = mean_over([one, one])
    assert (both.value, both.low, both.high) == (one.value, one.low, one.high)
    assert both.n == 10


def test_mean_over_estimates_takes_the_mean_of_values_and_of_ends() -> None:
    mean = mean_over([Estimate(0.2, 0.1, 0.4, 10, 2), Estimate(0.6, 0.5, 0.8, 8, 5)])
    assert mean == pytest.approx((0.4, 0.3, 0.6, 8, None))


def test_mean_over_one_estimate_is_that_estimate() -> None:
    assert mean_over([wilson(3, 4)]) == wilson(3, 4)
