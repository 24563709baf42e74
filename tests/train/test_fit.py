"""Cards that do not fit their data are refused in words before training."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import HarnessError
from harness.data import Dataset
from harness.models.card import Card
from harness.models.from_zoo import build
from harness.train.fit import check_classes, check_fit


def images(classes: tuple[str, ...] = ("cat", "dog"), count: int = 6, channels: int = 3, size: int = 8) -> Dataset:
    pixels = np.zeros((count, channels, size, size), dtype=np.uint8)
    return Dataset("pets", pixels, np.arange(count) % len(classes), np.arange(count), classes, "")


def fit(train_set: Dataset, test_set: Dataset, network: str = "resnet8", norm: str = "bn", batch_size: int = 4) -> None:
    card = Card.model_validate({
        "summary": "", "architecture": {"network": network, "norm": norm, "width": 4, "classes": 3},
        "train_data": {"id": "x"}, "test_data": {"id": "x"},
        "recipe": {"epochs": 1, "learning_rate": 0.1, "batch_size": batch_size},
    })  # fmt: skip
    check_fit(card, build(card, "small"), train_set, test_set)


def test_a_card_that_fits_is_let_through_and_its_network_left_as_it_was() -> None:
    card = Card.model_validate({
        "summary": "", "architecture": {"network": "resnet8", "width": 4},
        "train_data": {"id": "x"}, "test_data": {"id": "x"}, "recipe": {"epochs": 1, "learning_rate": 0.1},
    })  # fmt: skip
    classifier = build(card, "small")
    before = classifier.fingerprint
    check_fit(card, classifier, images(), images())
    assert classifier.fingerprint == before
    assert not classifier.training


@pytest.mark.parametrize(
    ("train_set", "test_set", "message"),
    [
        (images(channels=1), images(channels=1), "architecture.channels = 3, but the images of pets have 1"),
        (images(tuple("abcd")), images(tuple("abcd")), "architecture.classes = 3, but pets has 4"),
        (images(("cat", "dog", "emu")), images(("dog", "emu")), "not the same: only one of them has cat"),
        (images(("cat", "dog")), images(("dog", "cat")), "not the same: their order differs"),
        (images(("1", "2")), images(("0", "1")), "only one of them has 0, 2"),
    ],
)
def test_data_that_do_not_fit_are_named(train_set: Dataset, test_set: Dataset, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        fit(train_set, test_set)


@pytest.mark.parametrize(
    ("one", "other"), [(("0", "1", "2"), ("0", "1")), (("0", "1"), ("cat", "dog")), (("cat", "dog"), ("cat", "dog"))]
)
def test_classes_without_names_are_not_compared(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    check_classes(images(one), images(other))


def test_maps_that_a_norm_cannot_take_are_told_before_training() -> None:
    with pytest.raises(
        HarnessError, match="cannot take a batch of 2 images of pets, 4x4: Expected more than 1 spatial"
    ):
        fit(images(size=4), images(size=4), norm="in")


def test_a_last_batch_that_batchnorm_cannot_take_is_told_before_training() -> None:
    fit(images(count=6, size=4), images(count=1, size=4), batch_size=4)
    with pytest.raises(HarnessError, match="cannot take a batch of 1 images of pets, 4x4: Expected more than 1 value"):
        fit(images(count=5, size=4), images(size=4), batch_size=4)
