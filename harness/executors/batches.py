"""How many images at once: found by trying, halved when memory runs out; never changing a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from harness.attacks.slope import input_gradient
from harness.core.losses import cross_entropy
from harness.judging import Arena
from harness.models.classifier import Classifier, undisturbed

SMALLEST, LARGEST = 16, 4096
"""Batch sizes that are tried."""

WORTHWHILE = 1.05
"""A doubled batch must be this much faster per image to be worth its memory."""

PATIENCE = 2.0
"""Seconds after which no larger batch is tried."""

Outcomes = dict[str, pd.DataFrame]

Run = Callable[[Arena, npt.NDArray[np.bool_]], Iterator[Outcomes]]
"""Yields batches of outcomes, by cell id, of the samples that are not finished."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )


def halving(run: Run, arena: Arena, finished: npt.NDArray[np.bool_]) -> Iterator[Outcomes]:
    """A job's batches; where memory runs out, the samples that are left run again in half as large ones."""
    finished = finished.copy()
    while True:
        try:
            for batch in run(arena, finished):
                finished |= np.isin(arena.dataset.indices, next(iter(batch.values()))["index"])
                yield batch
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or arena.batch_size == 1:
                raise
        else:
            return
        # Outside the handler, whose traceback holds on to the tensors that filled the memory.
        arena = arena.with_batch_size(arena.batch_size // 2)
        if arena.device.type == "cuda":
            torch.cuda.empty_cache()


def find_batch_size(model: Classifier, images: Tensor) -> int:
    """The batch size at which a forward and backward pass takes least time per image.

    Sizes are doubled until that gains next to nothing, takes long, or does not fit. `images` (N, C, H, W) float32 are
    repeated to fill a batch.
    """
    best, fastest, size = SMALLEST, float("inf"), SMALLEST
    with undisturbed(model):
        while size <= LARGEST:
            try:
                seconds = _time_of_pass(model, images, size)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                break
            if fastest < WORTHWHILE * seconds / size:
                break
            best, fastest = size, seconds / size
            if seconds > PATIENCE:
                break
            size *= 2
    return best


def _time_of_pass(model: Classifier, images: Tensor, size: int) -> float:
    """Seconds of the second of two passes."""
    batch = images.repeat(-(-size // len(images)), 1, 1, 1)[:size]
    classes = torch.zeros(size, dtype=torch.int64, device=images.device)
    seconds = 0.0
    for _ in range(2):
        begin = time.perf_counter()
        gradient = input_gradient(model, batch, classes, cross_entropy).gradient
        gradient[0, 0, 0, 0].item()  # waits for a GPU
        seconds = time.perf_counter() - begin
    return seconds
