"""Other labels for the images of another data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.core.errors import HarnessError
from harness.data.load import load_dataset

DIGITS = {"id": "digits", "split": "test"}


@pytest.mark.parametrize(("by", "name"), [(1, "labels +1"), (-1, "labels -1"), (-12, "labels -12")])
def test_labels_move_on_modulo_the_number_of_classes_and_images_stay(by: int, name: str) -> None:
    plain = load_dataset("digits", {"split": "test"}, indices="first")
    shifted = load_dataset("shifted", {"of": DIGITS, "by": by}, indices="first")
    assert np.array_equal(shifted.labels, (plain.labels + by) % 10)
    assert np.array_equal(shifted.images, plain.images)
    assert shifted.classes == plain.classes
    assert shifted.name == f"digits (test), {name}"
    assert shifted.fingerprint != plain.fingerprint


def test_a_name_can_be_given() -> None:
    assert load_dataset("shifted", {"of": DIGITS, "by": 1, "name": "RF-aligned"}, 5).name == "RF-aligned"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"of": {"split": "test"}, "by": 1}, "of needs an id"),
        ({"of": {"id": "digit"}, "by": 1}, "did you mean: digits"),
        ({"of": {"id": "digits", "splt": "test"}, "by": 1}, "has no key splt"),
        ({"of": DIGITS, "by": 0.5}, "by: input should be a valid integer"),
        ({"of": DIGITS}, "needs the key by"),
    ],
)
def test_mistakes_are_told(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_dataset("shifted", keys)
