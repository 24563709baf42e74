"""A folder of image files, one subfolder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError, did_you_mean
from harness.data import DATASETS, Source, data_path
from harness.data.images import Channels, Encoded, Size, encoded_source

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What torchvision's ImageFolder reads."""

OTHER_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl")
"""Images that it passes over in silence."""


@DATASETS.register("folder")
def folder(
    path: str,
    root: str | None = None,
    size: Size | None = None,
    channels: Channels | None = None,
    name: str | None = None,
) -> Source:
    """A folder with one subfolder of image files per class, as torchvision's ImageFolder reads it.

    Classes are numbered by the sorted names of the subfolders (an empty one keeps its number), images by class and
    then by path. Hidden files and folders are skipped.

    Args:
        path: the folder, below `root` unless absolute.
        root: directory that holds data; default HARNESS_DATA, else `./data`.
        size: scale the shorter side to this (bilinear, antialiased) and cut out the middle square; "model" for what
            each model asks for.
        channels: 1 for grey, 3 for RGB; default RGB unless all chosen images are grey.
        name: how reports name the data; default the folder's name.

    Raises:
        HarnessError: when there is no such folder, class folder or image, or an image of a format that is not read; and
            on reading, as `decode_images` does.
    """
    top = data_path(root, path)
    if not top.is_dir():
        raise HarnessError(f"no folder {top}.\n     {_advice(path, top)}")
    classes = sorted(entry.name for entry in top.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise HarnessError(f"{top} has no class folders; it needs one subfolder of images per class")
    files = [(file, label) for label, title in enumerate(classes) for file in _images_below(top / title)]
    if not files:
        raise HarnessError(f"{top}: no image in its {len(classes)} class folders; known: {', '.join(IMAGE_SUFFIXES)}")

    def encoded(indices: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        chosen = (files[int(index)][0] for index in indices)
        return (Encoded(str(file), file) for file in chosen)

    labels = np.array([label for _, label in files], dtype=np.int64)
    return encoded_source(name or top.name, labels, tuple(classes), encoded, size, channels)


def _advice(path: str, top: Path) -> str:
    """What to do about a folder that is not there."""
    if not Path(path).expanduser().is_absolute():
        return "set HARNESS_DATA or the dataset's `root` to the directory that holds the data"
    there = next(parent for parent in top.parents if parent.is_dir())
    missing, folders = top.relative_to(there).parts[0], [entry.name for entry in there.iterdir() if entry.is_dir()]
    return f"correct the dataset's `path`: {there} has no {missing}\n     {did_you_mean(missing, folders)}"


def _images_below(class_folder: Path) -> Iterator[Path]:
    """Image files at any depth, folder by folder, both sorted."""
    for folder_path, _, names in sorted(os.walk(class_folder, onerror=_refuse, followlinks=True)):
        hidden = any(part.startswith(".") for part in Path(folder_path).relative_to(class_folder).parts)
        for name in [] if hidden else sorted(names):
            if name.startswith("."):
                continue
            if name.lower().endswith(OTHER_SUFFIXES):
                raise HarnessError(
                    f"{Path(folder_path, name)} is an image that is not read; known: {', '.join(IMAGE_SUFFIXES)}.\n"
                    "     convert it, or move it out of the folder"
                )
            if name.lower().endswith(IMAGE_SUFFIXES):
                yield Path(folder_path, name)


def _refuse(error: OSError) -> None:
    """Left to itself, os.walk passes over what it cannot read, and its images would be missing in silence."""
    raise HarnessError(f"{error.filename} cannot be read ({error.strerror}); its images would be missing") from error
