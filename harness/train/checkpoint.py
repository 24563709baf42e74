"""Checkpoints: what an interrupted training goes on from."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from harness.core.errors import HarnessError, in_one_line


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
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put a state back."""
        self.network.load_state_dict(state["network"])
        if self.optimizer:
            self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.history = [Epoch(*epoch) for epoch in state["history"]]


def save(training: Training, path: Path) -> None:
    """Write a checkpoint under a temporary name, then rename it: a kill leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(training.state(), temporary)
    temporary.replace(path)


def restore(training: Training, path: Path) -> None:
    """Read a checkpoint back into a training. Raises HarnessError when it cannot be read."""
    try:
        training.load(torch.load(path, weights_only=True, map_location="cpu"))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        raise HarnessError(
            f"checkpoint {path} cannot be read: {in_one_line(error)}.\n     delete it to train from the beginning"
        ) from None
