"""Checkpoints: what an interrupted training goes on from."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

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
    optimizer: torch.optim.Optimizer
    history: list[Epoch]


def save(training: Training, path: Path) -> None:
    """Write a checkpoint under a temporary name, then rename it: a kill leaves the old one whole."""
    state: dict[str, Any] = {
        "network": training.network.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "history": [tuple(epoch) for epoch in training.history],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def restore(training: Training, path: Path) -> None:
    """Read a checkpoint back into a training. Raises HarnessError when it cannot be read."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        training.network.load_state_dict(state["network"])
        training.optimizer.load_state_dict(state["optimizer"])
        training.history = [Epoch(*epoch) for epoch in state["history"]]
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, ValueError) as error:
        raise HarnessError(
            f"checkpoint {path} cannot be read: {in_one_line(error)}.\n     delete it to train from the beginning"
        ) from None
