import math

import pandas as pd
import pytest

from harness.core.errors import HarnessError
from harness.metrics import compare_robustness, mcnemar
from harness.metrics.paired import two_sided_sign_test


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
