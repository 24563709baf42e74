"""Checkpoints: what an interrupted training goes on from."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from harness.core.cards import file_sha256
from harness.core.errors import HarnessError
from harness.core.whole import written_whole


class Epoch(NamedTuple):
    """What one pass over the training set measured."""

    epoch: int
    """Counted from 1."""
    loss: float
    """Mean training loss."""
    train_accuracy: float
    """Share of augmented training images classified correctly while training."""
    test_accuracy: float
    """Clean accuracy on the test set after the epoch."""
    seconds: float
    """Wall time, evaluation included."""


@dataclass
class Training:
    """A network in training: everything a checkpoint must hold."""

    network: nn.Module
    optimizer: torch.optim.Optimizer | None
    """None where statistics change and nothing learns."""
    average: AveragedModel | None
    """The moving average of the weights, where the recipe asks for one."""
    history: list[Epoch]
    snapshots: dict[int, str] = field(default_factory=dict)
    """By epoch, the sha256 of the weights that were kept after it."""

    @property
    def result(self) -> nn.Module:
        """The network that is kept and measured."""
        return self.average.module if self.average else self.network

    def state(self) -> dict[str, Any]:
        """Everything, as tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer and self.optimizer.state_dict(),
            "average": self.average and self.average.state_dict(),
            "history": [tuple(epoch) for epoch in self.history],
            "snapshots": self.snapshots,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put a state back."""
        self.network.load_state_dict(state["network"])
        if self.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.history = [Epoch(*epoch) for epoch in state["history"]]
        self.snapshots = dict(state["snapshots"])


def save(training: Training, path: Path) -> None:
    """Write a checkpoint under a temporary name, then rename it: a kill leaves the old one whole.

    Raises:
        HarnessError: when it cannot be written; the old one is left whole then as well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    way_on = f"make room there; the same command goes on from epoch {len(training.history)}"
    # Through a file of ours: given a path, torch does not pass on why it cannot be written.
    with written_whole(path, way_on) as temporary, temporary.open("wb") as file:
        torch.save(training.state(), file)


def restore(training: Training, path: Path, snapshot: Callable[[int], Path]) -> None:
    """Read a checkpoint back into a training. `snapshot` is the file of the weights that were kept after an epoch.

    Raises:
        HarnessError: when it cannot be read, is another training's, or has lost its snapshots.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError):
        raise _unusable(path, "it is damaged, or no checkpoint") from None
    try:
        training.load(state)
    except (RuntimeError, KeyError, TypeError, ValueError):
        raise _unusable(path, "it is that of another training") from None
    for epoch, sha256 in training.snapshots.items():
        file = snapshot(epoch)
        if not file.is_file() or file_sha256(file) != sha256:
            raise _unusable(path, f"the weights that it kept after epoch {epoch} are gone from {file}")


def _unusable(path: Path, reason: str) -> HarnessError:
    return HarnessError(f"checkpoint {path} cannot be used: {reason}.\n     delete it to train from the beginning")
