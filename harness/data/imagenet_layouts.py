"""The layouts in which ImageNet lies on disks: class folders, one folder, or the archive as it came."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError
from harness.data.folder import IMAGE_SUFFIXES
from harness.data.imagenet_classes import class_numbers
from harness.data.imagenet_labels import DEVKIT, SOLUTION, validation_wnids
from harness.data.images import Encoded

Split = Literal["val", "train"]

PLACES = ("{split}", "ILSVRC/Data/CLS-LOC/{split}", "Data/CLS-LOC/{split}", ".")
"""Folders below `path` that may hold the images of a split."""

ARCHIVE = "ILSVRC2012_img_val.tar"

WNID = re.compile(r"n\d{8}")

VALIDATION_IMAGE = re.compile(r"(?:.*/)?(ILSVRC2012_val_\d{8})\.jpe?g", re.IGNORECASE)


class Images(Protocol):
    """Images that were found, in the order of their names."""

    @property
    def wnids(self) -> Sequence[str]:
        """(N,) their classes."""

    def encoded(self, indices: npt.NDArray[np.int64]) -> Iterable[Encoded]:
        """Indices (M,) to as many images."""


class _Files(NamedTuple):
    """Files below a folder."""

    folder: Path
    names: Sequence[str]
    """(N,) relative to the folder: at a million images, paths would take half a gigabyte."""
    wnids: Sequence[str]

    def encoded(self, indices: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        for index in indices:
            file = self.folder / self.names[index]
            yield Encoded(str(file), file)


class _Members(NamedTuple):
    """Members of an archive that stays as it is."""

    archive: Path
    members: Sequence[tuple[str, int, int]]
    """(N,) names, where their bytes begin, and how many they are."""
    wnids: Sequence[str]

    def encoded(self, indices: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        with self.archive.open("rb") as opened:
            for index in indices:
                name, start, length = self.members[index]
                opened.seek(start)
                yield Encoded(f"{self.archive}: {name}", opened.read(length))


def find_images(top: Path, split: Split) -> Images:
    """The images of a split, in the first layout that is there. Raises HarnessError when there is none."""
    for place in [top / place.format(split=split) for place in PLACES]:
        found = (_in_class_folders(place) or _in_one_folder(place, top, split)) if place.is_dir() else None
        if found:
            return found
    if split == "val" and (top / ARCHIVE).is_file():
        return _in_archive(top / ARCHIVE, top)
    raise HarnessError(_not_found(top, split))


def _in_class_folders(place: Path) -> _Files | None:
    """The images of `<place>/<WNID>/`. Raises HarnessError when other folders stand between those of classes."""
    with os.scandir(place) as entries:
        folders = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    if not any(WNID.fullmatch(folder) for folder in folders):
        return None
    unknown = [folder for folder in folders if folder not in class_numbers()]
    if unknown:
        raise HarnessError(
            f"{place}: no class of ImageNet: {', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}.\n"
            "     class folders are named by the WNIDs of ILSVRC2012, such as n01440764; move all others elsewhere"
        )
    files = sorted((file, wnid) for wnid in folders for file in os.listdir(place / wnid) if _is_image(file))
    names, wnids = [f"{wnid}/{file}" for file, wnid in files], [wnid for _, wnid in files]
    return _Files(place, names, wnids) if files else None


def _is_image(file: str) -> bool:
    return file.lower().endswith(IMAGE_SUFFIXES) and not file.startswith(".")


def _in_one_folder(place: Path, top: Path, split: Split) -> _Files | None:
    """The validation images that lie in `place` side by side."""
    names = sorted(file for file in os.listdir(place) if VALIDATION_IMAGE.fullmatch(file)) if split == "val" else []
    return _Files(place, names, _wnids(names, place, top)) if names else None


def _in_archive(archive: Path, top: Path) -> _Members:
    """The images of `ILSVRC2012_img_val.tar`, which is read from end to end once, without the images themselves."""
    with tarfile.open(archive, "r:") as opened:
        everything = opened.getmembers()
    members = sorted((m.name, m.offset_data, m.size) for m in everything if VALIDATION_IMAGE.fullmatch(m.name))
    if not members:
        raise HarnessError(f"{archive} holds no image such as ILSVRC2012_val_00000001.JPEG; fetch it again")
    if not _ends_after(everything[-1], archive):
        raise HarnessError(f"{archive} is cut off or damaged after {everything[-1].name}; fetch it again")
    return _Members(archive, members, _wnids([name for name, _, _ in members], archive, top))


def _ends_after(last: tarfile.TarInfo, archive: Path) -> bool:
    """Whether an empty block, the end of an archive, follows; tarfile stops at any block that is no header."""
    with archive.open("rb") as opened:
        opened.seek(last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        return opened.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _wnids(names: Sequence[str], place: Path, top: Path) -> list[str]:
    """The classes of validation images. Raises HarnessError when they are told nowhere, or not all."""
    told = validation_wnids(top)
    if told is None:
        raise HarnessError(
            f"{place} holds validation images, but nothing tells their classes.\n"
            f"     put {DEVKIT}.tar.gz (of image-net.org) or {SOLUTION} (of Kaggle) into {top}"
        )
    images = [VALIDATION_IMAGE.sub(r"\1", name) for name in names]
    untold = next((image for image in images if told.get(image) not in class_numbers()), None)
    if untold:
        raise HarnessError(f"{top}: the class of {untold} is {told.get(untold, 'not told')}; fetch the labels again")
    return [told[image] for image in images]


def _not_found(top: Path, split: Split) -> str:
    places = [top / place.format(split=split) for place in PLACES]
    looked_for = [f"{place}/n01440764/*.JPEG" for place in places]
    if split == "val":
        looked_for += [f"{place}/ILSVRC2012_val_*.JPEG" for place in places] + [str(top / ARCHIVE)]
        looked_for += [f"and for what tells the classes of the latter: {top / DEVKIT}[.tar.gz], {top / SOLUTION}"]
    lines = "".join(f"\n       {line}" for line in looked_for)
    return (
        f"ImageNet ({split}) is not in {top}. Looked for{lines}\n"
        "     download it yourself from https://image-net.org, which asks for an account, and put it there;\n"
        "     or set HARNESS_DATA, or the dataset's `root` or `path`, to where it is"
    )
