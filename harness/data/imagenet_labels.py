"""Which class each validation image of ImageNet has, from the files that come with the images."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np

from harness.core.errors import HarnessError, in_one_line

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = f"{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt"
META = f"{DEVKIT}/data/meta.mat"
SOLUTION = "LOC_val_solution.csv"


def validation_wnids(top: Path) -> dict[str, str] | None:
    """Names of images, such as "ILSVRC2012_val_00000001", to WNIDs; None when nothing in `top` tells them.

    The development kit tells them, as a folder or as the archive that image-net.org gives, or else Kaggle's table,
    in `top` or in its folder `ILSVRC`.

    Raises:
        HarnessError: when these files cannot be read.
    """
    folder, archive = top / DEVKIT, top / f"{DEVKIT}.tar.gz"
    table = next((file for file in (top / SOLUTION, top / "ILSVRC" / SOLUTION) if file.is_file()), None)
    source = folder if folder.is_dir() else archive if archive.is_file() else table
    if source is None:
        return None
    try:
        if source == table:
            return _of_table(source)
        return _of_devkit(*(_from_archive(source) if source == archive else _from_folder(top)))
    except Exception as error:  # whatever scipy, tarfile and csv make of damaged files
        reason = f"{type(error).__name__}: {in_one_line(error)}"
        raise HarnessError(f"{source} does not tell the classes ({reason}).\n     fetch it again") from error


def _of_devkit(ground_truth: bytes, meta: bytes) -> dict[str, str]:
    """One ILSVRC id per image, and the WNIDs of these ids, which are in no order of theirs."""
    from scipy.io import loadmat

    synsets = np.atleast_1d(loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"])
    wnids = {int(id): str(wnid) for id, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
    return {f"ILSVRC2012_val_{number:08d}": wnids[int(id)] for number, id in enumerate(ground_truth.split(), 1)}


def _from_folder(top: Path) -> tuple[bytes, bytes]:
    return (top / GROUND_TRUTH).read_bytes(), (top / META).read_bytes()


def _from_archive(archive: Path) -> tuple[bytes, bytes]:
    with tarfile.open(archive) as opened:
        files = [opened.extractfile(member) for member in (GROUND_TRUTH, META)]
        ground_truth, meta = (file.read() if file else b"" for file in files)
        return ground_truth, meta


def _of_table(table: Path) -> dict[str, str]:
    """Boxes of objects, as "WNID left top right bottom ..."; all objects of an image are of one class."""
    with table.open(newline="", encoding="utf-8-sig") as rows:
        told = {row["ImageId"]: (row["PredictionString"] or "").split() for row in csv.DictReader(rows)}
    return {image: words[0] for image, words in told.items() if words}
