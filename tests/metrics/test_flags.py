"""Warning signs are counted on outcomes by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from harness.metrics.flags import flags_of, fooled_by_square_alone, near_chance

MEMBERS = ("apgd-ce", "apgd-t", "fab-t", "square")


def outcomes(n: int, fooled_by: dict[int, int] | None = None) -> pd.DataFrame:
    """`fooled_by` maps members to how many samples they fooled; the rest survived the last member."""
    fooled = [member for member, count in (fooled_by or {}).items() for _ in range(count)]
    survivors = n - len(fooled)
    return pd.DataFrame({
        "clean_prediction": 1,
        "adversarial_prediction": [2] * len(fooled) + [1] * survivors,
        "success": [True] * len(fooled) + [False] * survivors,
        "zero_gradient": False,
        "member": fooled + [len(MEMBERS) - 1] * survivors,
    })  # fmt: skip


def test_sound_outcomes_raise_no_flag() -> None:
    assert flags_of(outcomes(10), MEMBERS) == {}


def test_predictions_without_finite_logits_are_counted_clean_and_under_attack() -> None:
    frame = outcomes(5)
    frame.loc[[0, 1], "clean_prediction"] = -1
    frame.loc[[1, 2], "adversarial_prediction"] = -1
    assert flags_of(frame) == {"nonfinite_logits": 3}


def test_samples_with_a_zero_gradient_are_counted() -> None:
    frame = outcomes(5)
    frame.loc[[0, 3], "zero_gradient"] = True
    assert flags_of(frame) == {"zero_gradient": 2}


def test_square_alone_counts_what_it_fooled_and_neither_survivors_nor_clean_errors() -> None:
    frame = outcomes(1000, {-1: 50, 0: 700, 1: 20, 2: 5, 3: 7})
    assert fooled_by_square_alone(frame, MEMBERS) == 7
    assert flags_of(frame, MEMBERS) == {"square_below_gradients": 7}


def test_two_in_a_thousand_are_no_sign_of_masked_gradients_and_three_are() -> None:
    assert flags_of(outcomes(1000, {3: 2}), MEMBERS) == {}
    assert flags_of(outcomes(1000, {3: 3}), MEMBERS) == {"square_below_gradients": 3}
    assert flags_of(outcomes(10, {3: 1}), MEMBERS) == {"square_below_gradients": 1}


def test_square_says_something_only_after_others() -> None:
    frame = outcomes(100, {3: 50, 0: 50})
    assert flags_of(frame) == {}
    assert flags_of(frame, ("square",)) == {}
    assert flags_of(frame.assign(member=0), ("square", "apgd-ce")) == {}, "nobody was asked before"
    assert flags_of(frame, ("apgd-ce", "apgd-t", "fab", "square", "fab-t")) == {"square_below_gradients": 50}


@pytest.mark.parametrize(
    ("right", "n", "classes", "flagged"),
    [
        (100, 1000, 10, True),  # guessing
        (0, 1000, 10, True),  # below it
        (160, 1000, 10, True),
        (180, 1000, 10, False),  # up to 20.5%, and a tenth of the way is 19%
        (2, 20, 10, False),  # too few to know
        (500, 1000, 2, True),
        (600, 1000, 2, False),
        (1, 1000, 1000, True),
        (120, 1000, 1000, False),
    ],
)
def test_a_clean_accuracy_near_that_of_guessing_is_a_sign_of_wrong_labels(
    right: int, n: int, classes: int, flagged: bool
) -> None:
    clean = pd.DataFrame({"label": 1, "clean_prediction": [1] * right + [0] * (n - right)})
    assert near_chance(clean, classes) == ({"near_chance": n - right} if flagged else {})
