"""A folder of image files, one subfolder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError, did_you_mean
from harness.data import DATASETS, Source, data_path
from harness.data.images import Channels, Encoded, Size, encoded_source

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What torchvision's ImageFolder reads."""

OTHER_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl")
"""Images that it passes over in silence."""

Order = Literal["as-text", "as-numbers"]
"""Orders of class folders."""


@DATASETS.register("folder")
def folder(
    path: str,
    root: str | None = None,
    size: Size | None = None,
    channels: Channels | None = None,
    name: str | None = None,
    classes: Order | list[str] | None = None,
) -> Source:
    """A folder with one subfolder of image files per class, as torchvision's ImageFolder reads it.

    Classes are numbered by the sorted names of the subfolders (an empty one keeps its number) unless `classes` says
    otherwise, images by class and then by path. Hidden files and folders are skipped.

    Args:
        path: the folder, below `root` unless absolute.
        root: directory that holds data; default HARNESS_DATA, else `./data`.
        size: scale the shorter side to this (bilinear, antialiased) and cut out the middle square; "model" for what
            each model asks for.
        channels: 1 for grey, 3 for RGB; default RGB unless all chosen images are grey.
        name: how reports name the data; default the folder's name.
        classes: in which order the subfolders are numbered: "as-text", "as-numbers", or all their names; default as
            text, which must be said where the names are numbers that text puts into another order.

    Raises:
        HarnessError: when there is no such folder, class folder or image, or an image of a format that is not read, or
            the order of the classes is in doubt; and on reading, as `decode_images` does.
    """
    top = data_path(root, path)
    if not top.is_dir():
        raise HarnessError(f"no folder {top}.\n     {_advice(path, top)}")
    titles = _in_order(top, classes)
    files = [(file, label) for label, title in enumerate(titles) for file in _images_below(top / title)]
    if not files:
        raise HarnessError(f"{top}: no image in its {len(titles)} class folders; known: {', '.join(IMAGE_SUFFIXES)}")

    def encoded(indices: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        chosen = (files[int(index)][0] for index in indices)
        return (Encoded(str(file), file) for file in chosen)

    labels = np.array([label for _, label in files], dtype=np.int64)
    return encoded_source(name or top.name, labels, tuple(titles), encoded, size, channels)


def _in_order(top: Path, asked: Order | list[str] | None) -> list[str]:
    """The names of the class folders in the order of their labels. Raises HarnessError when there is none."""
    found = sorted(entry.name for entry in top.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise HarnessError(f"{top} has no class folders; it needs one subfolder of images per class")
    if isinstance(asked, list):
        _check_named(top, asked, found)
        return asked
    numbers = all(name.isascii() and name.isdecimal() for name in found)
    if asked == "as-numbers" and not numbers:
        raise HarnessError(f'{top}: classes = "as-numbers", but not all of its folders are called by whole numbers')
    by_number = sorted(found, key=int) if numbers else found
    if asked is None and by_number != found:
        # Models of either order are about, and one that is judged in the other is right by chance.
        raise HarnessError(
            f"{top}: its folders are numbers, which text puts into another order: {', '.join(found[:3])}, ...\n"
            '     say which labels they have: classes = "as-text", as torchvision\'s ImageFolder numbers them,\n'
            '     classes = "as-numbers", or classes = [...] with all their names in the order of the labels'
        )
    return by_number if asked == "as-numbers" else found


def _check_named(top: Path, asked: list[str], found: list[str]) -> None:
    """Raise HarnessError unless the names are those of all class folders, each once."""
    for name in asked:
        if name not in found:
            raise HarnessError(f'classes: {top} has no folder "{name}".\n     {did_you_mean(name, found)}')
        if asked.count(name) > 1:
            raise HarnessError(f'classes: "{name}" is named twice')
    if left := [name for name in found if name not in asked]:
        raise HarnessError(f'classes: the folder "{left[0]}" of {top} is not named; add it, or move it elsewhere')


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
