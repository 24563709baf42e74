"""Adversarial images that are kept, so that more targets can be judged on them later.

    <store>/images/<first two of id>/<id>/<number>.safetensors    finished batches of one crafting

The id is that of the crafting: the question of its cells without a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from harness.store.files import write_bytes

Arrays = Mapping[str, npt.NDArray[Any]]
"""Of one batch: `index` (B,) positions in the whole data set, `adversarial` (B, C, H, W) float32, and what else there
is to say about each image."""


class KeptImages:
    """The adversarial images of one crafting."""

    def __init__(self, path: Path) -> None:
        """`path` is the crafting's folder, which need not exist."""
        self.path = path

    def append(self, batch: Arrays) -> None:
        """Keep a finished batch."""
        numbers = [int(file.stem) for file in self.path.glob("*.safetensors")]
        content = save({name: np.ascontiguousarray(array) for name, array in batch.items()})
        write_bytes(self.path / f"{max(numbers, default=-1) + 1:06d}.safetensors", content)

    def batches(self) -> Iterator[Arrays]:
        """Every batch as it was kept. One that cannot be read is deleted: it is crafted again."""
        for file in sorted(self.path.glob("*.safetensors")):
            try:
                yield load_file(file)
            except (OSError, SafetensorError):
                file.unlink()
