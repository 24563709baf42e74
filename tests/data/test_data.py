"""The contract of a data set: Source, take, fingerprint, data_root."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import HarnessError
from harness.data import DATASETS, Array, Source, data_root, fingerprint, take

IMAGES = np.arange(24, dtype=np.uint8).reshape(3, 2, 2, 2)
LABELS = np.array([0, 1, 0])
INDICES = np.array([4, 5, 9])


def source_of(pixels: Array) -> Source:
    return Source("tiny", LABELS, ("cat", "dog"), lambda indices: pixels[indices])


def test_fingerprint_is_the_sha256_of_shape_pixels_labels_and_indices() -> None:
    expected = hashlib.sha256(b"uint8(3, 2, 2, 2)" + IMAGES.tobytes() + LABELS.tobytes() + INDICES.tobytes())
    assert fingerprint(IMAGES, LABELS, INDICES) == expected.hexdigest()


@pytest.mark.parametrize("position", range(IMAGES.size))
def test_fingerprint_changes_with_any_pixel(position: int) -> None:
    changed = IMAGES.copy()
    changed.flat[position] += 1
    assert fingerprint(changed, LABELS, INDICES) != fingerprint(IMAGES, LABELS, INDICES)


@pytest.mark.parametrize("position", range(3))
def test_fingerprint_changes_with_any_label_and_any_index(position: int) -> None:
    one = np.eye(3, dtype=np.int64)[position]
    original = fingerprint(IMAGES, LABELS, INDICES)
    assert len({original, fingerprint(IMAGES, LABELS + one, INDICES), fingerprint(IMAGES, LABELS, INDICES + one)}) == 3


def test_fingerprint_changes_with_the_shape_alone() -> None:
    assert fingerprint(IMAGES.reshape(3, 2, 1, 4), LABELS, INDICES) != fingerprint(IMAGES, LABELS, INDICES)


def test_fingerprint_ignores_the_memory_layout() -> None:
    strided = np.asfortranarray(IMAGES)
    assert fingerprint(strided, LABELS, INDICES) == fingerprint(IMAGES, LABELS, INDICES)


def test_take_reads_the_chosen_images_and_their_labels() -> None:
    dataset = take(source_of(IMAGES), np.array([2, 1]))
    assert np.array_equal(dataset.images, IMAGES[[2, 1]])
    assert dataset.labels.tolist() == [0, 1]
    assert dataset.indices.tolist() == [2, 1]
    assert dataset.fingerprint == fingerprint(IMAGES[[2, 1]], np.array([0, 1]), np.array([2, 1]))


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, np.inf])
def test_float_pixels_outside_the_unit_interval_are_refused(value: float) -> None:
    pixels = np.full((3, 1, 2, 2), 0.5, dtype=np.float32)
    pixels[1, 0, 1, 1] = value
    with pytest.raises(HarnessError, match="standardization belongs to the model"):
        take(source_of(pixels), np.array([0, 1]))


@pytest.mark.parametrize("pixels", [np.zeros((3, 1, 2, 2)), np.zeros((3, 1, 2, 2), dtype=np.int32)])
def test_pixels_of_another_type_are_refused(pixels: Array) -> None:
    with pytest.raises(HarnessError, match="must be uint8, or float32"):
        take(source_of(pixels), np.array([0]))


def test_pixels_of_another_rank_are_refused() -> None:
    with pytest.raises(HarnessError, match=r"shape \(1, 2, 2\), not \(1, channels, height, width\)"):
        take(source_of(np.zeros((3, 2, 2), dtype=np.uint8)), np.array([0]))


def test_taking_no_image_is_refused() -> None:
    with pytest.raises(HarnessError, match="no image is chosen"):
        take(source_of(IMAGES), np.array([], dtype=np.int64))


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "a.png"), HarnessError("a.png is damaged")])
def test_images_that_cannot_be_read_are_an_error_that_names_the_data_set(error: Exception) -> None:
    def read(indices: Array) -> Array:
        raise error

    with pytest.raises(HarnessError, match="^tiny: .*a.png"):
        take(replace(source_of(IMAGES), read=read), np.array([0]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "there is no image"), ([0, -1], "label -1 is negative"), ([0, 2], "label 2 has no class; there are 2")],
)
def test_a_source_refuses_labels_without_a_class(labels: list[int], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        Source("tiny", np.array(labels, dtype=np.int64), ("cat", "dog"), lambda indices: IMAGES[indices])


def test_data_root_prefers_the_key_then_the_environment_then_the_folder_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", "/environment")
    assert data_root("/key") == Path("/key")
    assert data_root(None) == Path("/environment")
    monkeypatch.delenv("HARNESS_DATA")
    assert data_root(None) == Path("data")


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_loader_has_a_first_docstring_line_for_listings(name: str) -> None:
    assert (DATASETS.get(name).__doc__ or "").splitlines()[0].endswith(".")


def test_loading_digits_imports_no_heavy_library() -> None:
    heavy = {"torch", "torchvision", "pandas", "pyarrow", "sklearn", "PIL"}
    script = "import sys; from harness.data.load import load_dataset; load_dataset('digits'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
