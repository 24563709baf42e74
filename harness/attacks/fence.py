"""Around foreign attacks: layers keep their modes, passes are counted, and seeds are the suite's, set for one batch."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from harness.attacks import Samples, Setting
from harness.core.threat import Norm
from harness.models.classifier import undisturbed

NORMS: dict[Norm, str] = {"linf": "Linf", "l2": "L2", "l1": "L1"}
"""How other libraries write norms."""


class Steady(nn.Module):
    """A model whose layers stay in their modes: foreign attacks switch whole models to eval mode and back."""

    def __init__(self, model: nn.Module) -> None:
        """Wraps `model`."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the images."""
        logits: Tensor = self.model(images)
        return logits

    def train(self, mode: bool = True) -> Steady:
        """Do nothing; `eval` calls this as well."""
        return self


class Counting(Steady):
    """Counts the images that it is asked about: other libraries do not say what they spend."""

    asked = 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the images."""
        self.asked += len(images)
        return super().forward(images)

    def passes(self, rows: Tensor) -> Tensor:
        """(B,) passes per sample of a batch that was attacked: the mean, for each."""
        return torch.full_like(rows, round(self.asked / len(rows)))


def classes_of(model: nn.Module, samples: Samples) -> int:
    """How many logits a model returns: one image is asked about, and nothing of the model changes."""
    with undisturbed(model), torch.no_grad():
        return int(model(samples.pixels(samples.classes.new_zeros(1))).shape[1])


def seed_of(setting: Setting, indices: Tensor) -> int:
    """The seed of a batch, 32 bits: foreign attacks reseed with it for every batch."""
    digest = hashlib.sha256(f"{setting.seed}:{indices.tolist()}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Seed the global generators, and restore them afterwards; torch's own are restored by `undisturbed`."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - foreign code draws from it
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
