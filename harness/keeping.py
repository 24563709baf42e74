"""Crafted images to disk and back: a target that is added later costs its judging alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from harness.judging import Arena, Batch
from harness.store.images import KeptImages

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

    def load(self, arena: Arena, todo: Tensor) -> Iterator[Batch]:
        """The kept images among those to do, (N,) by row, in the batches in which they were kept."""
        positions = pd.Index(arena.dataset.indices)
        for arrays in self.images.batches():
            rows = torch.from_numpy(positions.get_indexer(pd.Index(arrays["index"]))).to(arena.device)
            fields = [torch.from_numpy(arrays[name]).to(arena.device) for name in FIELDS]
            batch = Batch(rows, *fields).take(todo[rows])
            if len(batch.rows):
                yield batch
