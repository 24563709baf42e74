"""The classics, from files in torchvision's layout."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.io
from torchvision import datasets

from harness.core.errors import HarnessError
from harness.data import DATASETS, take

Pixels = npt.NDArray[np.uint8]


def random_pixels(*shape: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def written(file: Path, content: bytes) -> str:
    """Write a file and return the md5 that torchvision checks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, key: str, classes: list[str]) -> Pixels:
    """Pickled batches of two images each, in files of the right names; returns all images, train first."""
    names = [name for name, _ in kind.train_list + kind.test_list]
    pixels = random_pixels(2 * len(names), 3, 32, 32)
    sums = []
    for i, name in enumerate(names):
        batch = {"data": pixels[2 * i : 2 * i + 2].reshape(2, -1), key: [i, i + 1]}
        sums.append([name, written(root / kind.base_folder / name, pickle.dumps(batch))])
    meta = written(root / kind.base_folder / kind.meta["filename"], pickle.dumps({kind.meta["key"]: classes}))
    monkeypatch.setattr(kind, "train_list", sums[:-1])
    monkeypatch.setattr(kind, "test_list", sums[-1:])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta})
    return pixels


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    """The format of MNIST's files: two zeros, the type (8 is uint8), the rank, the sizes, the values."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_mnist(root: Path, folder: str) -> dict[str, Pixels]:
    pixels = {"train": random_pixels(3, 28, 28), "test": random_pixels(2, 28, 28)}
    for split, prefix in [("train", "train"), ("test", "t10k")]:
        labels = np.arange(len(pixels[split]), dtype=np.uint8) + 5
        written(root / folder / "raw" / f"{prefix}-images-idx3-ubyte", idx(pixels[split]))
        written(root / folder / "raw" / f"{prefix}-labels-idx1-ubyte", idx(labels))
    return pixels


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch, split: str, labels: list[int]) -> Pixels:
    """The mat file of a split: images last, the digit 0 written as 10."""
    pixels = random_pixels(32, 32, 3, len(labels))
    url, name, _ = datasets.SVHN.split_list[split]
    root.mkdir(exist_ok=True)
    scipy.io.savemat(root / name, {"X": pixels, "y": np.array(labels, dtype=np.uint8)[:, None]})
    md5 = hashlib.md5((root / name).read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(datasets.SVHN, "split_list", {**datasets.SVHN.split_list, split: [url, name, md5]})
    return pixels.transpose(3, 2, 0, 1)


@pytest.mark.parametrize(
    ("name", "kind", "key", "title", "count"),
    [
        ("cifar10", datasets.CIFAR10, "labels", "CIFAR-10", 10),
        ("cifar100", datasets.CIFAR100, "fine_labels", "CIFAR-100", 100),
    ],
)
def test_cifar_splits_are_read_from_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: Any, key: str, title: str, count: int
) -> None:
    classes = [f"class {i}" for i in range(count)]
    pixels = write_cifar(tmp_path, monkeypatch, kind, key, classes)
    for split, expected in [("train", pixels[:-2]), ("test", pixels[-2:])]:
        source = DATASETS.get(name)(split=split, root=str(tmp_path))
        assert source.name == f"{title} ({split})"
        assert source.classes == tuple(classes)
        assert np.array_equal(take(source, np.arange(len(expected))).images, expected)
    first_batch, last_batch = 0, len(pixels) // 2 - 1
    assert DATASETS.get(name)(split="train", root=str(tmp_path)).labels[:2].tolist() == [first_batch, first_batch + 1]
    assert DATASETS.get(name)(root=str(tmp_path)).labels.tolist() == [last_batch, last_batch + 1]


@pytest.mark.parametrize(
    ("name", "folder", "title", "sixth"),
    [("mnist", "MNIST", "MNIST", "5"), ("fashion_mnist", "FashionMNIST", "Fashion-MNIST", "Sandal")],
)
def test_mnist_splits_are_read_as_grey_images(tmp_path: Path, name: str, folder: str, title: str, sixth: str) -> None:
    pixels = write_mnist(tmp_path, folder)
    for split in ("train", "test"):
        source = DATASETS.get(name)(split=split, root=str(tmp_path))
        images = take(source, np.arange(len(pixels[split]))).images
        assert images.dtype == np.uint8
        assert np.array_equal(images, pixels[split][:, None])
        assert source.labels.tolist() == list(range(5, 5 + len(images)))
        assert source.classes[5] == sixth
        assert source.name == f"{title} ({split})"


@pytest.mark.parametrize("split", ["train", "test", "extra"])
def test_svhn_counts_its_tens_as_the_digit_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    pixels = write_svhn(tmp_path, monkeypatch, split, [10, 1, 9])
    source = DATASETS.get("svhn")(split=split, root=str(tmp_path))
    assert source.labels.tolist() == [0, 1, 9]
    assert source.classes == tuple("0123456789")
    assert source.name == f"SVHN ({split})"
    assert np.array_equal(take(source, np.array([2, 0])).images, pixels[[2, 0]])


def test_the_root_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, "MNIST")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert len(DATASETS.get("mnist")().labels) == 2


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_1"),
        ("cifar100", "cifar-100-python/train"),
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("fashion_mnist", "FashionMNIST/raw/train-images-idx3-ubyte"),
        ("svhn", "test_32x32.mat"),
    ],
)
def test_missing_files_are_an_error_that_names_them_and_the_flag(tmp_path: Path, name: str, file: str) -> None:
    with pytest.raises(HarnessError, match="pass --download, put the files there") as caught:
        DATASETS.get(name)(root=str(tmp_path))
    assert file in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_damaged_files_are_told_from_missing_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch, datasets.CIFAR10, "labels", ["cat"] * 10)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"damaged")
    with pytest.raises(HarnessError, match="is damaged: delete its files"):
        DATASETS.get("cifar10")(root=str(tmp_path))


def test_truncated_mnist_files_are_called_damaged(tmp_path: Path) -> None:
    write_mnist(tmp_path, "MNIST")
    file = tmp_path / "MNIST/raw/t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(HarnessError, match="is damaged"):
        DATASETS.get("mnist")(root=str(tmp_path))


@pytest.mark.parametrize("count", [1, 3])
def test_mnist_files_of_different_lengths_are_called_damaged(tmp_path: Path, count: int) -> None:
    write_mnist(tmp_path, "MNIST")
    written(tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte", idx(np.zeros(count, dtype=np.uint8)))
    with pytest.raises(HarnessError, match=f"is damaged: 2 images and {count} labels; delete its files"):
        DATASETS.get("mnist")(root=str(tmp_path))


@pytest.mark.parametrize("head", [bytes([0, 0, 8, 4]), bytes([0, 0, 10, 1])])
def test_a_damaged_file_has_a_reason_even_where_torchvision_gives_none(tmp_path: Path, head: bytes) -> None:
    write_mnist(tmp_path, "MNIST")
    written(tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte", head + bytes(20))
    with pytest.raises(HarnessError, match=r"pass --download \(\w"):
        DATASETS.get("mnist")(root=str(tmp_path))


def test_download_fetches_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(self: Any) -> None:
        write_mnist(tmp_path, "MNIST")

    monkeypatch.setattr(datasets.MNIST, "download", fetch)
    assert len(DATASETS.get("mnist")(root=str(tmp_path), download=True).labels) == 2


def test_a_failed_download_is_an_error_with_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(datasets.CIFAR10, "download", fail)
    with pytest.raises(HarnessError, match=r"cannot be downloaded \(no route to host\)"):
        DATASETS.get("cifar10")(root=str(tmp_path), download=True)
