import itertools
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.stats import binomtest

from harness.core.errors import HarnessError
from harness.metrics import compare_means, compare_robustness, holm, mcnemar
from harness.metrics.sign_tests import needed_images, sign_flip_test, two_sided_sign_test


@pytest.mark.parametrize(
    ("heads", "tails", "expected"),
    [
        (0, 0, 1.0),
        (0, 5, 2 / 32),
        (5, 0, 2 / 32),
        (1, 9, 2 * (1 + 10) / 1024),
        (2, 6, 2 * (1 + 8 + 28) / 256),
        (4, 4, 1.0),
        (1, 2, 1.0),
    ],
)
def test_sign_test_is_the_tail_of_the_fair_coin(heads: int, tails: int, expected: float) -> None:
    assert two_sided_sign_test(heads, tails) == pytest.approx(expected, rel=1e-15)


def test_sign_test_of_many_throws_agrees_with_the_normal_approximation() -> None:
    z = (5200 - 4800 - 1) / math.sqrt(10_000)
    assert two_sided_sign_test(4800, 5200) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=5e-3)


def test_mcnemar_counts_only_the_samples_on_which_the_two_differ() -> None:
    first = [True] * 6 + [False] * 1 + [True] * 20 + [False] * 3
    second = [False] * 6 + [True] * 1 + [True] * 20 + [False] * 3
    test = mcnemar(first, second)
    assert (test.only_first, test.only_second, test.n) == (6, 1, 30)
    assert test.p_value == pytest.approx(2 * (1 + 7) / 128)
    assert test.difference == pytest.approx(5 / 30)


def test_mcnemar_refuses_samples_that_are_not_pairs() -> None:
    with pytest.raises(ValueError, match="equal lengths"):
        mcnemar([True], [True, False])
    with pytest.raises(ValueError, match="no samples"):
        mcnemar([], [])


def frame(index: list[int], correct: list[bool]) -> pd.DataFrame:
    return pd.DataFrame({"index": index, "label": 1, "adversarial_prediction": [int(right) for right in correct]})


def test_records_are_compared_image_by_image_whatever_their_order() -> None:
    first = frame([1, 2, 3], [True, True, False])
    second = frame([3, 2, 1], [False, False, True])
    test = compare_robustness(first, second)
    assert (test.only_first, test.only_second) == (1, 0)


def test_records_on_other_images_cannot_be_compared() -> None:
    with pytest.raises(HarnessError, match="same images"):
        compare_robustness(frame([1, 2], [True, True]), frame([1, 3], [True, True]))


# --- groups of verdicts ---------------------------------------------------------------------------------------------

Verdicts = npt.NDArray[np.bool_]


def related(n: int, ease: float, cells: int, rng: np.random.Generator) -> tuple[Verdicts, Verdicts]:
    """Two groups of verdicts that share how hard an image is; about half of all are true, more of the first group."""
    hard = rng.normal(size=(n, 1))
    first, second = (hard + rng.normal(size=(n, cells)) for _ in range(2))
    return first < ease, second < 0


def by_enumeration(differences: list[int]) -> float:
    """The share of all sign patterns with a sum at least as far from 0."""
    seen = abs(sum(differences))
    flipped = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=len(differences))]
    return float(np.mean([value >= seen for value in flipped]))


@pytest.mark.parametrize("seed", range(40))
def test_the_sign_flip_test_is_the_enumeration_of_all_signs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.integers(-6, 7, size=rng.integers(1, 11)).tolist()
    assert sign_flip_test(differences) == pytest.approx(by_enumeration(differences), rel=1e-12)


def test_the_unit_of_differences_does_not_matter_nor_does_their_order() -> None:
    differences = [3, -1, 2, 2, 5, -4, 1]
    assert sign_flip_test([6 * d for d in differences]) == sign_flip_test(differences[::-1])
    assert sign_flip_test(differences) == sign_flip_test([-d for d in differences])


def test_equal_differences_are_the_throws_of_a_coin() -> None:
    assert sign_flip_test([2] * 9 + [-2] * 3 + [0] * 50) == two_sided_sign_test(9, 3)
    assert sign_flip_test([]) == sign_flip_test([0, 0]) == 1.0


def test_where_the_exact_test_would_cost_too_much_its_limit_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    differences = rng.integers(-6, 7, size=2000) + (rng.random(2000) < 0.25)
    exact = sign_flip_test(differences)
    monkeypatch.setattr("harness.metrics.sign_tests.EXACT_WORK", 0)
    assert 1e-5 < exact < 0.05
    assert sign_flip_test(differences) == pytest.approx(exact, rel=0.02)


def test_one_verdict_per_side_is_the_exact_mcnemar_test() -> None:
    first, second = related(300, 0.2, 1, np.random.default_rng(1))
    test, known = compare_means(first, second), mcnemar(first[:, 0], second[:, 0])
    assert test.p_value == known.p_value
    assert test.p_value == pytest.approx(binomtest(known.only_first, known.only_first + known.only_second).pvalue)
    assert test.difference == pytest.approx(known.difference)
    assert (test.n, test.step) == (300, 1.0)
    assert test.square == pytest.approx((known.only_first + known.only_second) / 300)


def test_the_interval_of_one_verdict_per_side_is_that_of_bonett_and_price() -> None:
    first = np.array([True] * 12 + [False] * 5 + [True] * 30 + [False] * 53)
    second = np.array([False] * 12 + [True] * 5 + [True] * 30 + [False] * 53)
    # Their equation (8): one more image for either side of the discordant ones.
    p12, p21 = (12 + 1) / (100 + 2), (5 + 1) / (100 + 2)
    half = 1.959964 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (100 + 2))
    test = compare_means(first[:, None], second[:, None])
    assert (test.low, test.high) == pytest.approx((p12 - p21 - half, p12 - p21 + half))
    assert test.difference == pytest.approx(0.07)


def test_groups_are_compared_by_their_means_per_image() -> None:
    first = np.array([[True, True], [True, False], [False, False], [True, True]])
    second = np.array([[True, False, False], [False, False, False], [False, False, True], [True, True, True]])
    test = compare_means(first, second)
    assert (test.first, test.second) == pytest.approx((5 / 8, 5 / 12))
    # In sixths: 6 - 2, 3 - 0, 0 - 2, 6 - 6.
    assert test.difference == pytest.approx((4 + 3 - 2) / 24)
    assert test.p_value == by_enumeration([4, 3, -2])
    assert test.square == pytest.approx((16 + 9 + 4) / 36 / 4)
    assert test.step == pytest.approx(1 / 6)


def test_verdicts_that_repeat_each_other_are_no_further_evidence() -> None:
    first, second = related(200, 0.4, 1, np.random.default_rng(2))
    once, often = compare_means(first, second), compare_means(first.repeat(6, axis=1), second.repeat(4, axis=1))
    assert often.p_value == once.p_value
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_sides_that_say_the_same_have_an_interval_around_zero() -> None:
    same = np.ones((50, 1), dtype=bool)
    test = compare_means(same, same)
    assert (test.difference, test.p_value, test.needed_n()) == (0.0, 1.0, math.inf)
    assert -0.06 < test.low < 0 < test.high < 0.06


@pytest.mark.parametrize(("n", "cells", "most"), [(40, 1, 0.98), (40, 6, 1.0), (300, 6, 0.98)])
def test_ninety_five_percent_of_the_intervals_hold_the_true_difference(n: int, cells: int, most: float) -> None:
    """More do where few images hardly differ: the two that the interval adds weigh much then."""
    rng = np.random.default_rng(n + cells)
    # A sum of two standard normals below 0.5, against below 0.
    truth = 0.5 * math.erf(0.5 / 2)
    tests = [compare_means(*related(n, 0.5, cells, rng)) for _ in range(800)]
    assert 0.935 <= np.mean([test.low <= truth <= test.high for test in tests]) <= most


def test_true_hypotheses_are_rejected_in_at_most_five_percent() -> None:
    rng = np.random.default_rng(3)
    tests = [compare_means(*related(100, 0.0, 4, rng)) for _ in range(1000)]
    assert 0.03 <= np.mean([test.p_value <= 0.05 for test in tests]) <= 0.065


@pytest.mark.parametrize(("ease", "cells"), [(0.4, 1), (0.2, 6)])
def test_the_needed_images_decide_in_four_of_five_repetitions(ease: float, cells: int) -> None:
    rng = np.random.default_rng(cells)
    truth = compare_means(*related(100_000, ease, cells, rng))._replace(step=1 / cells)
    needed = int(truth.needed_n())
    decided = [compare_means(*related(needed, ease, cells, rng)).p_value <= 0.05 for _ in range(600)]
    assert 0.76 <= np.mean(decided) <= 0.85


def test_what_is_not_decided_yet_needs_more_images_than_there_are() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        test = compare_means(*related(150, 0.2, 1, rng))
        assert test.p_value <= 0.05 or test.needed_n() > 150


def test_needed_images_grow_with_certainty_and_shrink_with_the_difference() -> None:
    assert needed_images(0.02, 0.1) > needed_images(0.04, 0.1) == needed_images(-0.04, 0.1)
    assert needed_images(0.04, 0.1, level=0.01) > needed_images(0.04, 0.1, power=0.8)
    assert needed_images(0.04, 0.1, power=0.9) > needed_images(0.04, 0.1)
    # Connor (1987), without the correction: (1.96 sqrt(0.1) + 0.8416 sqrt(0.1 - 0.0016))^2 / 0.0016.
    assert needed_images(0.04, 0.1, step=0.0) == math.ceil((1.959964 * 0.1**0.5 + 0.841621 * 0.0984**0.5) ** 2 / 0.0016)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [((3, 1), (4, 1), "same images"), ((3,), (3,), "same images"), ((0, 1), (0, 1), "no"), ((3, 0), (3, 1), "no")],
)
def test_groups_that_cannot_be_compared_are_refused(first: tuple[int], second: tuple[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_means(np.ones(first), np.ones(second))


def test_holm_multiplies_the_smallest_by_all_and_never_reorders() -> None:
    assert holm([0.01, 0.04, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
