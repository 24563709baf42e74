"""Crafted images to disk and back: a target that is added later costs its judging alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.core.errors import ThreatModelViolation
from harness.core.threat import ThreatModel
from harness.judging import Arena, Batch, verify
from harness.store.images import Arrays, KeptImages

FIELDS = ("adversarial", "passes", "zero_gradient", "member")
"""What is kept of a batch, besides the positions of its images in the whole data set."""


@dataclass(frozen=True)
class Keeper:
    """The kept images of one crafting."""

    images: KeptImages
    """Where they are."""
    keeps: bool
    """Whether new ones are added; those that are there are used in any case."""

    def keep(self, batch: Batch, arena: Arena) -> None:
        """Add crafted images."""
        if self.keeps and len(batch.rows):
            fields = {name: getattr(batch, name).cpu().numpy() for name in FIELDS}
            self.images.append({"index": arena.dataset.indices[batch.rows.cpu().numpy()], **fields})

    def load(self, arena: Arena, todo: Tensor, threat: ThreatModel) -> Iterator[Batch]:
        """The kept images among those to do, (N,) by row, in the batches in which they were kept."""
        for arrays in self.images.batches(partial(is_sound, arena=arena, threat=threat)):
            batch = batch_of(arrays, arena)
            batch = batch.take(todo[batch.rows])
            if len(batch.rows):
                yield batch


def batch_of(arrays: Arrays, arena: Arena) -> Batch:
    """What was kept, on the arena's device."""
    rows = pd.Index(arena.dataset.indices).get_indexer(pd.Index(arrays["index"]))
    return Batch(*(torch.from_numpy(array).to(arena.device) for array in (rows, *(arrays[name] for name in FIELDS))))


def is_sound(arrays: Arrays, arena: Arena, threat: ThreatModel) -> bool:
    """Whether arrays can be what was kept: only images that kept to the threat model were, so it is no attack's fault.

    Args:
        arrays: what a file holds.
        arena: the clean images.
        threat: the threat model of the crafting.
    """
    if not {"index", *FIELDS} <= arrays.keys():
        return False
    index, count = arrays["index"], arrays["index"].size
    shapes = dict.fromkeys(("index", *FIELDS), (count,)) | {"adversarial": (count, *arena.images.shape[1:])}
    if not count or any(arrays[name].shape != shape for name, shape in shapes.items()):
        return False
    if len(np.unique(index)) < count or not np.isin(index, arena.dataset.indices).all():
        return False
    try:
        verify(batch_of(arrays, arena), arena, threat, "kept")
    except ThreatModelViolation:
        return False
    return True
