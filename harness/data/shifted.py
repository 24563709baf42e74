"""Other labels for the images of another data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.core.errors import HarnessError
from harness.data import DATASETS, Source
from harness.data.load import resolve_arguments


@DATASETS.register("shifted")
def shifted(of: dict[str, Any], by: int, name: str | None = None) -> Source:
    """Another data set with every label moved on by some classes, modulo their number.

    Accuracy on a clean test set with shifted labels tells what a network learned from D_det (`by = 1`) or D_conflict
    (`by = -1`): it is the accuracy aligned with robust features (Benz et al. 2021, Figures 6 and 14).

    Args:
        of: the other data set's `id` and keys.
        by: how many classes; may be negative.
        name: how reports name the data; default the other set's name and the shift.

    Raises:
        HarnessError: without `of.id`, and as the other loader does.
    """
    keys = dict(of)
    id = keys.pop("id", None)
    if not isinstance(id, str):
        raise HarnessError('dataset "shifted": of needs an id, as in of = { id = "digits", split = "test" }')
    source = DATASETS.get(id)(**resolve_arguments(id, keys))
    labels = (source.labels + by) % len(source.classes)
    return replace(source, name=name or f"{source.name}, labels {by:+d}", labels=labels)
