"""From the keys of a suite to the images that it uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import HarnessError
from harness.data import take
from harness.data.digits import digits
from harness.data.load import allowing_download, load_dataset, resolve_arguments
from harness.data.subset import balanced


def test_a_data_set_is_loaded_with_its_arguments_and_balanced_indices() -> None:
    dataset = load_dataset("digits", {"split": "train"}, samples=25)
    source = digits("train")
    expected = take(source, balanced(source.labels, 25))
    assert dataset.name == "digits (train)"
    assert dataset.fingerprint == expected.fingerprint
    assert np.array_equal(dataset.images, expected.images)


def test_the_label_replaces_the_name_and_nothing_else() -> None:
    plain, labelled = load_dataset("digits", samples=5), load_dataset("digits", samples=5, label="Digits")
    assert labelled.name == "Digits"
    assert labelled.fingerprint == plain.fingerprint


def test_listed_indices_are_taken_in_their_order() -> None:
    assert load_dataset("digits", indices=[7, 3]).indices.tolist() == [7, 3]


def test_errors_of_the_file_system_are_mistakes_of_the_data_set(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match='files of dataset "folder" cannot be read .*File name too long'):
        load_dataset("folder", {"path": "a" * 300, "root": str(tmp_path)})


def test_leave_to_download_is_given_to_loaders_that_can() -> None:
    assert allowing_download("cifar10", {"split": "train"}) == {"split": "train", "download": True}
    assert allowing_download("digits", {"split": "train"}) == {"split": "train"}


def test_resolved_arguments_hold_every_default() -> None:
    assert resolve_arguments("cifar10", {"split": "train"}) == {"split": "train", "root": None, "download": False}


@pytest.mark.parametrize(
    ("id", "arguments", "message"),
    [
        ("digit", {}, 'dataset "digit" is not registered'),
        ("digits", {"spilt": "test"}, "did you mean: split"),
        ("digits", {"spilt": "test"}, "its keys: split"),
        ("digits", {"split": "val"}, "split: input should be 'train' or 'test'"),
        ("folder", {}, 'dataset "folder" needs the key path'),
        ("folder", {"path": "x", "size": 0}, "size: input should be greater than or equal to 1"),
        ("folder", {"path": "x", "channels": 2}, "channels: input should be 1 or 3"),
        ("parquet", {"path": 3}, r"path: input should be a valid string \(given: 3\)"),
        ("cifar10", {"download": "perhaps"}, "download: input should be a valid boolean"),
    ],
)
def test_mistakes_in_the_keys_are_errors_before_any_file_is_opened(
    id: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(HarnessError, match=message):
        load_dataset(id, arguments)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"samples": 600}, "samples = 600, but the data set has 599 images"),
        ({"samples": 0}, "at least 1 image"),
        ({"indices": [599]}, "599 is outside the data set"),
        ({"indices": "frist"}, '"balanced", "first" or a list'),
    ],
)
def test_images_that_are_not_there_are_an_error(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_dataset("digits", **keys)
