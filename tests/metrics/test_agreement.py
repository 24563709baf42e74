import pandas as pd
import pytest

from harness.metrics import wilson
from harness.metrics.agreement import agreement, verdicts

T, F = True, False


def judged(correct: list[bool], first: int = 0) -> "pd.Series[bool]":
    return pd.Series(correct, index=range(first, first + len(correct)))


def test_agreement_is_the_share_of_images_on_which_all_say_the_same() -> None:
    # Images 0 and 3 alike in all three; two of three are not enough.
    three = [judged([T, T, F, F]), judged([T, F, F, F]), judged([T, T, T, F])]
    assert agreement(three) == wilson(2, 4)
    assert agreement(three[:2]) == wilson(3, 4)


def test_equal_rates_can_hide_that_no_image_agrees() -> None:
    assert agreement([judged([T, F]), judged([F, T])]) == wilson(0, 2)


def test_only_images_that_all_have_in_common_are_compared_by_their_position() -> None:
    # The second begins at image 2: images 2 and 3 are common, and image 3 differs.
    assert agreement([judged([F, F, T, T]), judged([T, F, F, F], first=2)]) == wilson(1, 2)


def test_order_of_the_samples_does_not_matter() -> None:
    one = judged([T, T, F])
    assert agreement([one, one.iloc[::-1]]) == wilson(3, 3)


def test_agreement_over_no_common_image_does_not_exist() -> None:
    assert agreement([judged([T]), judged([T], first=5)]) is None


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("clean_accuracy", [T, T, F]),
        ("robust_accuracy", [T, F, F]),
        ("robust_error", [T, F, F]),
        ("mean_l2", [T, F, F]),
        # The second was turned into a wrong class, but not into the wanted one.
        ("attack_success_rate", [F, F, T]),
    ],
)
def test_a_verdict_is_what_the_metric_counts(metric: str, expected: list[bool]) -> None:
    outcomes = pd.DataFrame({
        "index": [7, 3, 5],
        "label": [1, 1, 1],
        "clean_prediction": [1, 1, 2],
        "adversarial_prediction": [1, 4, 2],
        "success": [F, F, T],
    })  # fmt: skip
    verdict = verdicts(outcomes, metric)
    assert verdict.tolist() == expected
    assert verdict.index.tolist() == [7, 3, 5]
