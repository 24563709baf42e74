"""Batch sizes: halved when memory runs out, found by trying; results stay."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from harness.data import Dataset
from harness.executors.batches import LARGEST, SMALLEST, Outcomes, find_batch_size, halving, out_of_memory
from harness.judging import Arena
from harness.models.classifier import Classifier, Provenance


def arena(batch_size: int, count: int = 20) -> Arena:
    images = np.zeros((count, 1, 4, 4), dtype=np.uint8)
    labels, indices = np.zeros(count, dtype=np.int64), 5 * np.arange(count)
    return Arena(Dataset("zeros", images, labels, indices, ("0", "1"), "first"), torch.device("cpu"), batch_size)


class Memory:
    """A job that fits in memory up to a batch size, and notes what it was asked to do."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room, self.error = room, error
        self.asked: list[tuple[int, int]] = []

    def __call__(self, arena: Arena, finished: npt.NDArray[np.bool_]) -> Iterator[Outcomes]:
        left = arena.dataset.indices[~finished]
        self.asked.append((arena.batch_size, len(left)))
        for begin in range(0, len(left), arena.batch_size):
            if arena.batch_size > self.room and begin > 0:
                raise self.error
            yield {"cell": pd.DataFrame({"index": left[begin : begin + arena.batch_size]})}


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory")]
)
def test_what_is_left_runs_again_in_half_as_large_batches(error: Exception) -> None:
    job = Memory(2, error)
    batches = list(halving(job, arena(8), np.zeros(20, dtype=bool)))
    assert job.asked == [(8, 20), (4, 12), (2, 8)]
    found = pd.concat([batch["cell"] for batch in batches])["index"]
    assert sorted(found) == (5 * np.arange(20)).tolist()


def test_other_errors_and_single_images_that_do_not_fit_are_errors() -> None:
    for batch_size, error in ((8, RuntimeError("shapes differ")), (1, torch.OutOfMemoryError("no"))):
        with pytest.raises(type(error), match=str(error)):
            list(halving(Memory(0, error), arena(batch_size), np.zeros(20, dtype=bool)))


def test_errors_are_told_apart() -> None:
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


class Picky(nn.Module):
    """Refuses large batches as a full GPU does."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images.flatten(1)[:, :2]


def test_no_batch_is_chosen_that_does_not_fit() -> None:
    network = Picky(2 * SMALLEST)
    chosen = find_batch_size(Classifier(network, Provenance("picky")), torch.rand(3, 1, 4, 4))
    assert SMALLEST <= chosen <= 2 * SMALLEST
    assert max(network.sizes) <= LARGEST
