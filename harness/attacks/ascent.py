"""What APGD remembers of its samples, and what a rule of movement has to tell (Croce & Hein 2020, 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.attacks.slots import Flight
from harness.core.randomness import Draws
from harness.core.threat import ThreatModel


@dataclass
class Ascent(Flight):
    """Samples on their way up the loss, each with a step size of its own."""

    aimed: Tensor
    """(B,) class that a targeted loss aims at."""
    previous: Tensor
    """(B, C, H, W) the point before the current one."""
    best: Tensor
    """(B, C, H, W) the point of the highest loss so far."""
    best_gradient: Tensor
    """(B, C, H, W) the gradient there."""
    best_loss: Tensor
    """(B,)."""
    last_loss: Tensor
    """(B,) the loss at the previous point."""
    checked_loss: Tensor
    """(B,) the highest loss at the last checkpoint."""
    rises: Tensor
    """(B,) steps since the last checkpoint that raised the loss."""
    halved: Tensor
    """(B,) whether the step was halved at the last checkpoint."""
    step_size: Tensor
    """(B, 1, 1, 1)."""
    support: Tensor
    """(B,) number of pixels that differ from the clean image at the best point of the last checkpoint; L1 only."""
    share: Tensor
    """(B,) share of the pixels that a step moves; L1 only."""

    def back_to_best(self, where: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The points to go on from, the best ones for some samples, and the gradients there."""
        wide = where.view(-1, 1, 1, 1)
        return torch.where(wide, self.best, self.adversarial), torch.where(wide, self.best_gradient, gradient)


class Rule(Protocol):
    """How samples start and move. Passes of a run are counted from 0, the look at the start."""

    def last(self) -> int:
        """Number of the last pass of a run."""

    def is_first(self, passes: Tensor) -> Tensor:
        """(B,) whether the loss is looked at anew: what was best before does not count."""

    def is_inside(self, passes: Tensor) -> Tensor:
        """(B,) whether the points keep to the threat model's own budget."""

    def start(self, flight: Ascent, draws: Draws, threat: ThreatModel) -> None:
        """Set the first points and step sizes."""

    def advance(self, flight: Ascent, gradient: Tensor, threat: ThreatModel) -> Tensor:
        """The next points, from the gradients at the current ones."""


def lookup(table: tuple[float, ...], passes: Tensor) -> Tensor:
    """(B,) the entries of a table of passes; its last one for all later passes."""
    return torch.tensor(table, device=passes.device)[passes.clamp_max(len(table) - 1)]
