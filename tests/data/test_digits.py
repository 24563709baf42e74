"""The digits of scikit-learn."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from sklearn.datasets import load_digits

from harness.core.errors import HarnessError
from harness.data import digits as module
from harness.data import take
from harness.data.digits import digits
from harness.data.subset import first


def test_the_packaged_file_agrees_with_scikit_learn() -> None:
    pixels, labels = load_digits(return_X_y=True)
    assert np.array_equal(module._packaged_table(), np.column_stack([pixels, labels]))


def test_without_the_packaged_file_scikit_learn_itself_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = module._packaged_table()
    elsewhere = ModuleSpec("sklearn", None, is_package=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: elsewhere)
    assert np.array_equal(module._packaged_table(), expected)


def test_without_scikit_learn_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HarnessError, match="pip install scikit-learn"):
        digits()


def test_of_every_three_images_of_a_class_the_middle_one_is_a_test_image() -> None:
    pixels, labels = load_digits(return_X_y=True)
    for split, wanted in [("test", [1]), ("train", [0, 2])]:
        seen = dict.fromkeys(range(10), 0)
        chosen = []
        for position, label in enumerate(labels):
            if seen[int(label)] % 3 in wanted:
                chosen.append(position)
            seen[int(label)] += 1
        source = digits(split)
        assert np.array_equal(source.labels, labels[chosen])
        expected = (pixels[chosen] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
        assert np.array_equal(take(source, first(source.labels, None)).images, expected)


def test_the_splits_have_the_documented_sizes_and_every_class() -> None:
    for split, size in [("train", 1198), ("test", 599)]:
        source = digits(split)
        assert len(source.labels) == size
        assert set(source.labels) == set(range(10))
        assert source.classes == tuple("0123456789")
        assert source.name == f"digits ({split})"


def test_pixels_are_sixteenths_in_the_unit_interval() -> None:
    images = digits().read(np.arange(599))
    assert images.dtype == np.float32
    assert images.shape == (599, 1, 8, 8)
    assert set(np.unique(images * 16)) <= set(range(17))
    assert images.max() == 1.0
