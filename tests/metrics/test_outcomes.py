from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from harness.core.errors import HarnessError
from harness.metrics import METRICS
from harness.metrics.counting import correct_by_all, correct_by_index, correct_under_attack, correct_when_clean
from harness.metrics.summary import summarize


def outcomes(
    labels: Sequence[int], clean: Sequence[int], adversarial: Sequence[int], wanted: Sequence[int] | None = None
) -> pd.DataFrame:
    """Outcomes with given classes; targeted when `wanted` is given."""
    success = [a != t for a, t in zip(adversarial, labels, strict=True)]
    if wanted is not None:
        success = [a == w for a, w in zip(adversarial, wanted, strict=True)]
    n = len(labels)
    return pd.DataFrame({
        "index": [7 * i for i in range(n)], "label": labels, "wanted": wanted or labels, "clean_prediction": clean,
        "adversarial_prediction": adversarial, "success": success, "linf": [0.1 * i for i in range(n)],
        "l2": [float(i) for i in range(n)], "l1": 0.0, "passes": [10 * i for i in range(n)], "zero_gradient": False,
        "member": -1,
    })  # fmt: skip


UNTARGETED = outcomes(labels=[0, 1, 2, 3, 4], clean=[0, 1, 2, 9, -1], adversarial=[0, 5, -1, 3, 9])
"""Sample by sample: stays right; is turned; becomes infinite; a clean error that the attack repairs; never right."""

TARGETED = outcomes(labels=[0, 1, 2, 3], clean=[0, 1, 2, 0], adversarial=[1, 5, 2, 4], wanted=[1, 2, 3, 4])
"""Sample by sample: hits the wanted class; another wrong one; stays right; a clean error that hits."""


def value(metric: str, frame: pd.DataFrame) -> float:
    return METRICS.get(metric)(frame).value


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("clean_accuracy", 3 / 5),
        ("clean_error", 2 / 5),
        ("robust_accuracy", 2 / 5),
        ("robust_error", 3 / 5),
        ("attack_success_rate", 3 / 5),
        ("mean_l2", 2.0),
        ("mean_linf", 0.2),
        ("mean_passes", 20.0),
    ],
)
def test_metrics_of_an_untargeted_attack_count_by_hand(metric: str, expected: float) -> None:
    assert value(metric, UNTARGETED) == pytest.approx(expected)


def test_a_prediction_that_is_not_finite_is_never_correct() -> None:
    frame = outcomes(labels=[-1], clean=[-1], adversarial=[-1])
    assert not correct_when_clean(frame).any()
    assert not correct_under_attack(frame).any()


def test_robust_accuracy_of_a_targeted_attack_still_asks_for_the_true_class() -> None:
    assert value("robust_accuracy", TARGETED) == 1 / 4
    assert value("robust_error", TARGETED) == 3 / 4


def test_success_of_a_targeted_attack_is_the_wanted_class() -> None:
    assert value("attack_success_rate", TARGETED) == 2 / 4
    assert value("attack_success_rate", TARGETED[correct_when_clean(TARGETED)]) == 1 / 3


def test_success_over_own_correct_samples_leaves_clean_errors_out() -> None:
    assert value("attack_success_rate", UNTARGETED[correct_when_clean(UNTARGETED)]) == 2 / 3


@pytest.mark.parametrize("metric", METRICS.names())
def test_every_metric_of_no_samples_raises(metric: str) -> None:
    with pytest.raises(ValueError, match="no samples"):
        METRICS.get(metric)(UNTARGETED[:0])


def test_a_record_keeps_the_aggregates_that_its_samples_give() -> None:
    values = summarize(UNTARGETED)
    assert values["attack_success_rate"] == pytest.approx(2 / 3)
    for metric in ("clean_accuracy", "robust_accuracy", "mean_l2", "mean_linf", "mean_passes"):
        assert values[metric] == pytest.approx(value(metric, UNTARGETED))


def test_a_record_without_a_correct_sample_has_no_success_rate() -> None:
    assert "attack_success_rate" not in summarize(outcomes(labels=[0], clean=[1], adversarial=[1]))


def test_masks_of_several_models_are_matched_by_index_and_not_by_position() -> None:
    first = outcomes(labels=[0, 1, 2], clean=[0, 1, 9], adversarial=[0, 0, 0])
    second = outcomes(labels=[0, 1, 2], clean=[9, 1, 2], adversarial=[0, 0, 0]).iloc[::-1]
    both = correct_by_all(first, [correct_by_index(first), correct_by_index(second)])
    assert np.array_equal(both, [False, True, False])


def test_masks_of_models_that_saw_other_images_are_refused() -> None:
    first = outcomes(labels=[0, 1], clean=[0, 1], adversarial=[0, 0])
    with pytest.raises(HarnessError, match="1 of 2 images have no clean prediction"):
        correct_by_all(first, [correct_by_index(first[:1])])
