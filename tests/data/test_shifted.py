"""Other labels for the images of another data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry
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


def test_labels_move_on_in_every_geometry_that_a_model_asks_for(tmp_path: Path) -> None:
    for title in ("cat", "dog", "emu"):
        (tmp_path / title).mkdir()
        Image.new("RGB", (6, 6)).save(tmp_path / title / "a.png")
    of, geometry = {"id": "folder", "path": str(tmp_path), "size": "model"}, Geometry(4, 4, 4)
    plain = load_dataset("folder", {key: value for key, value in of.items() if key != "id"}, geometry=geometry)
    shifted = load_dataset("shifted", {"of": of, "by": 1}, geometry=geometry)
    assert shifted.labels.tolist() == [1, 2, 0]
    assert np.array_equal(shifted.images, plain.images)
    assert shifted.fingerprint != plain.fingerprint


def test_the_other_loader_may_download_where_this_one_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(datasets.CIFAR10, "download", fail)
    keys: dict[str, Any] = {"of": {"id": "cifar10", "root": str(tmp_path)}, "by": 1}
    twice: dict[str, Any] = {"of": {"id": "shifted", **keys}, "by": 1}
    for arguments in (keys, twice):
        with pytest.raises(HarnessError, match="pass --download"):
            load_dataset("shifted", arguments)
        with pytest.raises(HarnessError, match=r"cannot be downloaded \(no route to host\)"):
            load_dataset("shifted", {**arguments, "download": True})


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
        ({"of": {**DIGITS, "samples": 5}, "by": 1}, "samples stands beside of, not in it"),
        ({"of": {**DIGITS, "indices": "first"}, "by": 1}, "indices stands beside of, not in it"),
    ],
)
def test_mistakes_are_told(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_dataset("shifted", keys)
