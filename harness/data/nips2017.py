"""The images of the NIPS 2017 competition, which the transfer literature calls "ImageNet-compatible"."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError, in_one_line
from harness.data import DATASETS, Source, data_path
from harness.data.imagenet_classes import class_names
from harness.data.images import Encoded, Size, encoded_source

NUMBER_OF_IMAGES = 1000


@DATASETS.register("nips2017")
def nips2017(
    path: str = "nips2017", root: str | None = None, size: Size | None = "model", name: str | None = None
) -> Source:
    """NIPS 2017 competition (Kurakin et al. 2018): 1,000 photographs with the 1,000 classes of ImageNet, 299x299 RGB.

    Rows of `images.csv` whose image is not there are left out. `TrueLabel` counts from 1, in the order of torchvision
    and timm; `TargetClass` is not used.

    Args:
        path: folder that holds `images.csv` and `images/<ImageId>.png`, below `root` unless absolute.
        root: directory that holds data; default HARNESS_DATA, else `./data`.
        size: "model" for what each model asks for; or scale the shorter side to this and cut out the middle square.
        name: how reports name the data; default "NIPS 2017", and how many of its images are there unless all are.

    Raises:
        HarnessError: when the table or all images are missing, or the table cannot be read or tells of an image twice.
    """
    top = data_path(root, path)
    table, folder = top / "images.csv", top / "images"
    if not table.is_file() or not folder.is_dir():
        raise HarnessError(
            f"NIPS 2017 is not in {top}: it needs images.csv and images/<ImageId>.png.\n"
            "     put them there, or set HARNESS_DATA or the dataset's `root` and `path`"
        )
    rows = _rows(table)
    there = {Path(file).stem: file for file in sorted(os.listdir(folder)) if file.lower().endswith(".png")}
    images = [(there[image], label) for image, label in rows if image in there]
    if not images:
        raise HarnessError(f"{folder}: none of the {len(rows)} images of images.csv is there, as <ImageId>.png")

    def encoded(indices: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        chosen = (folder / images[index][0] for index in indices)
        return (Encoded(str(file), file) for file in chosen)

    labels = np.array([label for _, label in images], dtype=np.int64)
    there_of_all = "" if len(images) == NUMBER_OF_IMAGES else f" ({len(images)} of {NUMBER_OF_IMAGES:,} images)"
    return encoded_source(name or f"NIPS 2017{there_of_all}", labels, class_names(), encoded, size, 3)


def _rows(table: Path) -> list[tuple[str, int]]:
    """Ids and class numbers, from 0. Raises HarnessError unless the table has both for every image, once."""
    try:
        # Authors' names may be written in any encoding; ids and numbers are the same in all of them.
        with table.open(newline="", encoding="utf-8-sig", errors="replace") as opened:
            rows = [(row["ImageId"], int(row["TrueLabel"]) - 1) for row in csv.DictReader(opened)]
    except KeyError as error:
        raise HarnessError(f"{table} has no column {error}; fetch it again") from None
    except (ValueError, TypeError, csv.Error) as error:
        raise HarnessError(f"{table}: a TrueLabel is not a class number ({in_one_line(error)})") from error
    image, times = Counter(image for image, _ in rows).most_common(1)[0] if rows else ("", 0)
    if times > 1:
        raise HarnessError(f"{table}: ImageId {image} stands in {times} rows; fetch the table again")
    return rows
