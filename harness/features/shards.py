"""Finished batches of a set, on disk as they were computed: what an interrupted extraction goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.core.errors import HarnessError, in_one_line
from harness.core.whole import written_whole

WAY_ON = "make room there; the same command goes on from the last batch that was kept"
"""What there is to do when a file cannot be written."""


class Shard(NamedTuple):
    """Some images of a feature set, in the order of the source, and what was measured on each."""

    images: Tensor
    """(B, C, H, W) float16 in [0, 1], as they are kept."""
    labels: Tensor
    """(B,) their labels."""
    starts: Tensor
    """(B,) rows of the source where descent began."""
    begin: Tensor
    """(B,) the objective on the images where descent began."""
    end: Tensor
    """(B,) the objective on the images as they are kept."""
    distances: Tensor
    """(B,) from the start, in the norm of the descent, float64, before rounding."""
    crafted: Tensor
    """(B,) whether the network assigns the label, before rounding."""
    kept: Tensor
    """(B,) the same of the images as they are kept."""

    @classmethod
    def join(cls, shards: list[Self]) -> Self:
        """Several shards as one."""
        return cls(*(torch.cat(tensors) for tensors in zip(*shards, strict=True)))


class Timed(NamedTuple):
    """A finished batch."""

    shard: Shard
    seconds: float
    """What it took to compute."""


class Shards:
    """A folder of finished batches, named by their first row and the row behind their last."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when the first batch is written."""
        self.folder = folder

    def write(self, rows: range, finished: Timed) -> None:
        """Keep a batch, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with written_whole(self._file(rows), WAY_ON) as temporary:
            save_file(finished.shard._asdict(), temporary, metadata={"seconds": repr(finished.seconds)})

    def read(self, rows: range) -> Timed | None:
        """A batch; None when it is not finished.

        Raises:
            HarnessError: when its file is damaged.
        """
        file = self._file(rows)
        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="pt") as opened:
                shard = Shard(*(opened.get_tensor(name) for name in Shard._fields))
                return Timed(shard, float(opened.metadata()["seconds"]))
        except (SafetensorError, OSError) as error:
            raise HarnessError(
                f"{file} cannot be read: {in_one_line(error)}.\n     delete it to compute it anew"
            ) from None

    def _file(self, rows: range) -> Path:
        return self.folder / f"{rows.start}-{rows.stop}.safetensors"
