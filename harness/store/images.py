"""Adversarial images that are kept, so that more targets can be judged on them later.

    <store>/images/<first two of id>/<id>/<number>-<sha256>.safetensors    finished batches

The id is that of the crafting: the question of its cells without a target. A file's name has the first digits of its
sha256: pixels that a disk got wrong would be judged as if an attack had made them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from harness.core.errors import HarnessError, in_one_line
from harness.store.files import write_bytes, writing

Arrays = Mapping[str, npt.NDArray[Any]]
"""Of one batch: `index` (B,) positions in the whole data set, `adversarial` (B, C, H, W) float32, and what else there
is to say about each image."""


class KeptImages:
    """The adversarial images of one crafting."""

    def __init__(self, path: Path) -> None:
        """`path` is the crafting's folder, which need not exist."""
        self.path = path

    def append(self, batch: Arrays) -> None:
        """Keep a finished batch. Raises HarnessError when it cannot be written."""
        numbers = [int(file.stem.partition("-")[0]) for file in self.path.glob("*.safetensors")]
        content = save({name: np.ascontiguousarray(array) for name, array in batch.items()})
        with writing(self.path):
            write_bytes(self.path / f"{max(numbers, default=-1) + 1:06d}-{_digest(content)}.safetensors", content)

    def batches(self, is_sound: Callable[[Arrays], bool] = lambda _: True) -> Iterator[Arrays]:
        """Every batch as it was kept. One that is damaged, or not sound, is deleted: it is crafted again.

        Raises:
            HarnessError: when a file cannot be read for a reason that is not its content.
        """
        for file in sorted(self.path.glob("*.safetensors")):
            batch = _load(file)
            if batch is not None and is_sound(batch):
                yield batch
            else:
                file.unlink()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _load(file: Path) -> Arrays | None:
    """The content of a file; None when it is damaged."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise HarnessError(
            f"{file} cannot be read ({in_one_line(error)}).\n     let it be read, or delete it to craft again"
        ) from error
    if file.stem.partition("-")[2] != _digest(content):
        return None
    batch: Arrays = load(content)
    return batch
