"""ImageNet ILSVRC2012 in the layouts that image-net.org, Kaggle and the usual scripts leave on a disk.

Images are ordered by the names of their files, which all layouts share: an index means the same image in each.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from harness.core.errors import HarnessError, in_one_line
from harness.data import DATASETS, Source, data_path
from harness.data.imagenet_classes import class_names, class_numbers
from harness.data.imagenet_layouts import Split, find_images
from harness.data.images import Size, encoded_source

NUMBER_OF_IMAGES: dict[Split, int] = {"val": 50_000, "train": 1_281_167}


@DATASETS.register("imagenet")
def imagenet(
    path: str = "imagenet",
    root: str | None = None,
    split: Split = "val",
    size: Size | None = "model",
    name: str | None = None,
) -> Source:
    """ImageNet ILSVRC2012 (Russakovsky et al. 2015): 1,000 classes of photographs, 50,000 to validate, RGB.

    Classes are numbered as torchvision and timm do, by their sorted WNIDs, also where only some of them are there.

    Args:
        path: the folder that holds ImageNet, below `root` unless absolute, in any layout that docs/data.md lists.
        root: directory that holds data; default HARNESS_DATA, else `./data`.
        split: "val", or "train" as class folders.
        size: "model" for what each model asks for; or scale the shorter side to this and cut out the middle square.
        name: how reports name the data; default the split, and how many of its images are there unless all are.

    Raises:
        HarnessError: when nothing is found, a folder is no class of ImageNet, or nothing tells an image's class.
    """
    top = data_path(root, path)
    try:
        found = find_images(top, split)
    except (OSError, tarfile.TarError) as error:
        raise HarnessError(f"{top} cannot be read ({in_one_line(error)})") from error
    numbers = class_numbers()
    labels = np.array([numbers[wnid] for wnid in found.wnids], dtype=np.int64)
    title = _title(top, split, len(labels))
    return encoded_source(name or title, labels, class_names(), found.encoded, size, 3)


def _title(top: Path, split: Split, images: int) -> str:
    """Tells when images are missing. Raises HarnessError when there are more than the split has."""
    whole = NUMBER_OF_IMAGES[split]
    if images > whole:
        raise HarnessError(f"{top}: {images:,} images, but ImageNet ({split}) has {whole:,}; set the dataset's `split`")
    return f"ImageNet ({split})" if images == whole else f"ImageNet ({split}, {images:,} of {whole:,} images)"
