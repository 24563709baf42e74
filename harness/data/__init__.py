"""Data sets. A loader gives a `Source`: all labels at once, pixels only for the indices that a suite uses.

To add one, register a loader in a new module of this package. Its keyword parameters are the keys that a suite's
`[dataset]` table may carry besides `id`, `samples`, `indices` and `label`; their annotations are checked. A loader
with a parameter `download` may fetch files, and only when that is true. `harness.data.load` does all of this at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry
from harness.core.registry import Registry

Array = npt.NDArray[np.generic]

Read = Callable[[npt.NDArray[np.int64]], Array]
"""Indices (M,) to pixels (M, C, H, W), uint8 or float32 in [0, 1]."""


def numbered(classes: tuple[str, ...]) -> bool:
    """Whether classes are called by their numbers, as in files without names."""
    return classes == tuple(map(str, range(len(classes))))


@dataclass(frozen=True)
class Source:
    """A whole data set, pixels on demand.

    Raises:
        HarnessError: when there is no image, or a label without a class.
    """

    name: str
    """How reports name the data, such as "CIFAR-10 (test)"."""
    labels: npt.NDArray[np.int64]
    """(N,) class numbers, from 0."""
    classes: tuple[str, ...]
    """One name per class."""
    read: Read
    """Gives the pixels."""
    at: Callable[[Geometry], Read] | None = None
    """What reads the same images in another geometry, where each model is given them as it asks; None where all see
    the same. Labels and classes are those of this source in any geometry."""
    origin: str = ""
    """sha256 over what the images were made from, one by one, where they were: sets of one origin share their order."""

    def __post_init__(self) -> None:
        """Check the labels, so that no loader has to."""
        if not len(self.labels):
            raise HarnessError(f"{self.name}: there is no image")
        lowest, highest = int(self.labels.min()), int(self.labels.max())
        if lowest < 0:
            raise HarnessError(
                f"{self.name}: label {lowest} is negative, as in unlabelled splits; use a labelled split"
            )
        if highest >= len(self.classes):
            raise HarnessError(f"{self.name}: label {highest} has no class; there are {len(self.classes)} class names")


@dataclass(frozen=True)
class Dataset:
    """The images that a suite uses."""

    name: str
    """How reports name the data."""
    images: Array
    """(N, C, H, W): uint8 (divided by 255 when used), or float32 in [0, 1]."""
    labels: npt.NDArray[np.int64]
    """(N,) class numbers, from 0."""
    indices: npt.NDArray[np.int64]
    """(N,) positions of the images in the whole data set."""
    classes: tuple[str, ...]
    """One name per class."""
    fingerprint: str
    """sha256 over pixels, labels and indices."""
    geometry: Geometry | None = None
    """How the files were made into these images, where models were asked."""

    def __repr__(self) -> str:
        """Name, shape and classes, without the pixels."""
        return f"Dataset({self.name!r}, {tuple(self.images.shape)} {self.images.dtype}, {len(self.classes)} classes)"


@dataclass(frozen=True)
class ChosenImages:
    """The images that a suite uses, in the geometry of each of its models."""

    source: Source
    """The whole data set."""
    indices: npt.NDArray[np.int64]
    """(N,) positions of the chosen images in it."""
    name: str
    """How reports name the data."""
    read: dict[Geometry | None, Dataset] = field(default_factory=dict, compare=False)
    """What was read so far: every image is decoded once per geometry."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.indices)

    def at(self, geometry: Geometry | None) -> Dataset:
        """The images as a model of this geometry is given them; the same for all models unless the source asks them.

        Raises:
            HarnessError: when the source asks and the model has no geometry, and as `take` does.
        """
        if self.source.at is None:
            geometry = None
        elif geometry is None:
            raise HarnessError(
                f"{self.name} gives every model images as it asks for them, and this one does not say how.\n"
                "     write resize and crop in its table, or a number as the data set's `size`"
            )
        if geometry not in self.read:
            read = self.source.at(geometry) if self.source.at and geometry else self.source.read
            dataset = take(replace(self.source, name=self.name, read=read), self.indices)
            self.read[geometry] = replace(dataset, geometry=geometry)
        return self.read[geometry]


Loader = Callable[..., Source]

DATASETS: Registry[Loader] = Registry("dataset", package=__name__)


def data_root(root: str | None) -> Path:
    """The directory that holds data: the suite's key, else HARNESS_DATA, else `./data`."""
    return Path(os.path.expanduser(root or os.environ.get("HARNESS_DATA") or "data"))


def data_path(root: str | None, path: str) -> Path:
    """A path below the data root unless it is absolute or begins with `~`, the home directory."""
    return data_root(root) / os.path.expanduser(path)


def fingerprint(images: Array, labels: Array, indices: Array) -> str:
    """sha256 over exactly what a model and an attack get to see."""
    digest = hashlib.sha256(f"{images.dtype}{images.shape}".encode())
    for array in (images, labels.astype(np.int64), indices.astype(np.int64)):
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def take(source: Source, indices: npt.NDArray[np.int64]) -> Dataset:
    """Read the pixels of the chosen indices (M,).

    Raises:
        HarnessError: when no index is chosen, an image cannot be read, or the pixels are not (M, C, H, W), uint8 or
            float32 in [0, 1].
    """
    if not len(indices):
        raise HarnessError(f"{source.name}: no image is chosen")
    try:
        images = source.read(indices)
    except (HarnessError, OSError) as error:
        raise HarnessError(f"{source.name}: {error}") from error
    _check_pixels(images, len(indices), source.name)
    labels = source.labels[indices]
    return Dataset(source.name, images, labels, indices, source.classes, fingerprint(images, labels, indices))


def _check_pixels(images: Array, count: int, name: str) -> None:
    if images.ndim != 4 or len(images) != count:
        raise HarnessError(f"{name}: pixels have shape {images.shape}, not ({count}, channels, height, width)")
    if images.dtype == np.uint8:
        return
    if images.dtype != np.float32:
        raise HarnessError(f"{name}: pixels are {images.dtype}; they must be uint8, or float32 in [0, 1]")
    # A NaN makes the comparison false, so this refuses it as well.
    pixels = images.astype(np.float32, copy=False)
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise HarnessError(f"{name}: float pixels must lie in [0, 1]; standardization belongs to the model")
