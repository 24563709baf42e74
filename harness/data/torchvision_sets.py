"""The small classics, in the files and folders that torchvision uses, so that what it downloaded is found.

torchvision is imported inside the loaders: that takes a second, which no other data set should pay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError, in_one_line
from harness.data import DATASETS, Array, Source, data_root

Split = Literal["train", "test"]

DIGITS = tuple("0123456789")
FETCH_AGAIN = "delete its files and pass --download"

IS_TRAIN = {"train": True, "test": False}


@DATASETS.register("cifar10")
def cifar10(split: Split = "test", root: str | None = None, download: bool = False) -> Source:
    """CIFAR-10 (Krizhevsky 2009): 10 classes of photographs, 32x32 RGB, 50,000 to train and 10,000 to test.

    Args:
        split: "train" or "test".
        root: directory that holds `cifar-10-batches-py`; default HARNESS_DATA, else `./data`.
        download: fetch the files when they are missing.

    Raises:
        HarnessError: when files are missing or damaged.
    """
    from torchvision.datasets import CIFAR10

    return _cifar(CIFAR10, "CIFAR-10", split, data_root(root), download)


@DATASETS.register("cifar100")
def cifar100(split: Split = "test", root: str | None = None, download: bool = False) -> Source:
    """CIFAR-100 (Krizhevsky 2009): 100 classes of photographs, 32x32 RGB, 50,000 to train and 10,000 to test.

    Args:
        split: "train" or "test".
        root: directory that holds `cifar-100-python`; default HARNESS_DATA, else `./data`.
        download: fetch the files when they are missing.

    Raises:
        HarnessError: when files are missing or damaged.
    """
    from torchvision.datasets import CIFAR100

    return _cifar(CIFAR100, "CIFAR-100", split, data_root(root), download)


@DATASETS.register("mnist")
def mnist(split: Split = "test", root: str | None = None, download: bool = False) -> Source:
    """MNIST (LeCun et al. 1998): handwritten digits, 28x28 grey, 60,000 to train and 10,000 to test.

    Args:
        split: "train" or "test".
        root: directory that holds `MNIST/raw`; default HARNESS_DATA, else `./data`.
        download: fetch the files when they are missing.

    Raises:
        HarnessError: when files are missing or damaged.
    """
    from torchvision.datasets import MNIST

    return _mnist(MNIST, "MNIST", DIGITS, split, data_root(root), download)


@DATASETS.register("fashion_mnist")
def fashion_mnist(split: Split = "test", root: str | None = None, download: bool = False) -> Source:
    """Fashion-MNIST (Xiao et al. 2017): 10 kinds of clothes, 28x28 grey, 60,000 to train and 10,000 to test.

    Args:
        split: "train" or "test".
        root: directory that holds `FashionMNIST/raw`; default HARNESS_DATA, else `./data`.
        download: fetch the files when they are missing.

    Raises:
        HarnessError: when files are missing or damaged.
    """
    from torchvision.datasets import FashionMNIST

    return _mnist(FashionMNIST, "Fashion-MNIST", tuple(FashionMNIST.classes), split, data_root(root), download)


@DATASETS.register("svhn")
def svhn(split: Literal["train", "test", "extra"] = "test", root: str | None = None, download: bool = False) -> Source:
    """SVHN (Netzer et al. 2011): digits on houses, 32x32 RGB, 73,257 to train, 26,032 to test, 531,131 extra.

    Args:
        split: "train", "test" or "extra".
        root: directory that holds `test_32x32.mat`; default HARNESS_DATA, else `./data`.
        download: fetch the file when it is missing.

    Raises:
        HarnessError: when the file is missing or damaged.
    """
    from torchvision.datasets import SVHN

    folder = data_root(root)
    stored = _stored(
        lambda: SVHN(folder, split=split, download=download), "SVHN", folder, [SVHN.split_list[split][1]], download
    )
    return _source(f"SVHN ({split})", stored.data, stored.labels, DIGITS)


def _cifar(kind: Any, title: str, split: Split, root: Path, download: bool) -> Source:
    names = [*(name for name, _ in [*kind.train_list, *kind.test_list]), kind.meta["filename"]]
    files = [f"{kind.base_folder}/{name}" for name in names]
    is_train = IS_TRAIN[split]
    stored = _stored(lambda: kind(root, train=is_train, download=download), title, root, files, download)
    return _source(f"{title} ({split})", stored.data.transpose(0, 3, 1, 2), stored.targets, tuple(stored.classes))


def _mnist(kind: Any, title: str, classes: tuple[str, ...], split: Split, root: Path, download: bool) -> Source:
    files = [f"{kind.__name__}/raw/{Path(name).stem}" for name, _ in kind.resources]
    is_train = IS_TRAIN[split]
    stored = _stored(lambda: kind(root, train=is_train, download=download), title, root, files, download)
    images, labels = len(stored.data), len(stored.targets)
    if images != labels:
        raise HarnessError(f"{title} in {root} is damaged: {images} images and {labels} labels; {FETCH_AGAIN}")
    return _source(f"{title} ({split})", stored.data.numpy()[:, None], stored.targets.numpy(), classes)


def _stored(open_set: Callable[[], Any], title: str, root: Path, files: Sequence[str], download: bool) -> Any:
    """What torchvision reads from `files` below `root`. Raises HarnessError when it cannot."""
    missing = [file for file in files if not (root / file).is_file()]
    if missing and not download:
        raise HarnessError(
            f"{title} is not in {root}: {', '.join(missing)} missing.\n"
            "     pass --download, put the files there, or set HARNESS_DATA or the dataset's `root`"
        )
    try:
        return open_set()
    # torchvision checks with RuntimeError, reads with OSError, and parses damaged files with the others.
    except (RuntimeError, OSError, ValueError, TypeError, LookupError, AssertionError) as error:
        cause = "cannot be downloaded" if missing else f"is damaged: {FETCH_AGAIN}"
        raise HarnessError(f"{title} in {root} {cause} ({in_one_line(error)})") from error


def _source(name: str, pixels: npt.NDArray[np.uint8], labels: npt.ArrayLike, classes: tuple[str, ...]) -> Source:
    def read(indices: npt.NDArray[np.int64]) -> Array:
        return np.ascontiguousarray(pixels[indices])

    return Source(name, np.asarray(labels, dtype=np.int64), classes, read)
