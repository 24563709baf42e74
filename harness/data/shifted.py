"""Other labels for the images of another data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.core.errors import HarnessError
from harness.data import DATASETS, Source
from harness.data.load import allowing_download, open_source

OF_EVERY_DATA_SET = ("samples", "indices", "label")
"""Keys that no loader is given."""


@DATASETS.register("shifted")
def shifted(of: dict[str, Any], by: int, name: str | None = None, download: bool = False) -> Source:
    """Another data set with every label moved on by some classes, modulo their number.

    Accuracy on a clean test set with shifted labels tells what a network learned from D_det (`by = 1`) or D_conflict
    (`by = -1`): it is the accuracy aligned with robust features (Benz et al. 2021, Figures 6 and 14).

    Args:
        of: the other data set's `id` and keys.
        by: how many classes; may be negative.
        name: how reports name the data; default the other set's name and the shift.
        download: let the other loader fetch its files.

    Raises:
        HarnessError: without `of.id`, for a choice of images in `of`, and as the other loader does.
    """
    keys = dict(of)
    id = keys.pop("id", None)
    if not isinstance(id, str):
        raise HarnessError('dataset "shifted": of needs an id, as in of = { id = "digits", split = "test" }')
    misplaced = next((key for key in OF_EVERY_DATA_SET if key in keys), None)
    if misplaced:
        raise HarnessError(f'dataset "shifted": {misplaced} stands beside of, not in it; move it out')
    source = open_source(id, allowing_download(id, keys) if download else keys)
    labels = (source.labels + by) % len(source.classes)
    return replace(source, name=name or f"{source.name}, labels {by:+d}", labels=labels)
