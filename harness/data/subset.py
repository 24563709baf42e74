"""Which images of a data set a suite uses: deterministic, and named by their indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError

Indices = npt.NDArray[np.int64]

Choice = Literal["balanced", "first"] | Sequence[int]
"""What a suite's key `indices` may say."""


def choose(labels: Indices, samples: int | None, choice: Choice | str) -> Indices:
    """The indices (M,) that `choice` and `samples` name: `balanced`, `first` or `listed`.

    Raises:
        HarnessError: for an unknown word, and as these functions do.
    """
    if choice == "balanced":
        return balanced(labels, samples)
    if choice == "first":
        return first(labels, samples)
    if isinstance(choice, str):
        raise HarnessError(f'indices = "{choice}" is not known; write "balanced", "first" or a list of numbers')
    return listed(labels, samples, choice)


def first(labels: Indices, samples: int | None) -> Indices:
    """The first `samples` images, all of them for None. Raises HarnessError when there are fewer."""
    return np.arange(_available(len(labels), samples), dtype=np.int64)


def balanced(labels: Indices, samples: int | None) -> Indices:
    """Equally many images per class, the first ones of each, in ascending order; all of them for None.

    When `samples` is no multiple of the number of classes, the lowest classes get one more. A class that runs out
    of images is filled up from the others, in turn. The first n images of every class stay chosen as n grows.

    Raises:
        HarnessError: when the data set has fewer than `samples` images.
    """
    wanted = _available(len(labels), samples)
    in_turn = np.lexsort((labels, rank_in_class(labels)))
    return np.sort(in_turn[:wanted]).astype(np.int64)


def listed(labels: Indices, samples: int | None, chosen: Sequence[int]) -> Indices:
    """The first `samples` of the indices that a suite lists, in its order; all of them for None.

    Raises:
        HarnessError: when an index is outside the data set or listed twice, or fewer than `samples` are listed.
    """
    indices = np.asarray(chosen)
    if indices.ndim != 1 or not len(indices) or indices.dtype.kind not in "iu":
        raise HarnessError("indices must be a list of at least one whole number")
    outside = indices[(indices < 0) | (indices >= len(labels))]
    if len(outside):
        raise HarnessError(f"indices: {outside[0]} is outside the data set, which has images 0 to {len(labels) - 1}")
    values, counts = np.unique(indices, return_counts=True)
    if counts.max() > 1:
        raise HarnessError(f"indices: {values[counts.argmax()]} is listed twice; every image counts once")
    return indices[: _available(len(indices), samples, "`indices` lists {}")].astype(np.int64)


def rank_in_class(labels: Indices) -> Indices:
    """For labels (N,), how many images of the same class come before each one (N,)."""
    order = np.argsort(labels, kind="stable")
    grouped = labels[order]
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[order] = np.arange(len(labels)) - np.searchsorted(grouped, grouped)
    return ranks


def _available(total: int, samples: int | None, whole: str = "the data set has {} images") -> int:
    if samples is None:
        return total
    if samples < 1:
        raise HarnessError(f"samples = {samples}; ask for at least 1 image, or leave `samples` out to use all")
    if samples > total:
        raise HarnessError(f"samples = {samples}, but {whole.format(total)}; lower `samples`")
    return samples
