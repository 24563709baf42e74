"""Variance tuning: gradients corrected by what their neighbourhood showed one step ago (Wang & He 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from harness.core.randomness import Draws

Nearby = Callable[[Tensor, str], Tensor]
"""Noise (N, C, H, W) in units of epsilon, and a name that tells the neighbours of a step apart, to the gradients at
the current points plus that noise."""


@dataclass(frozen=True)
class VarianceTuning:
    """VT: adds to each gradient by how much it differed, one step ago, from the mean around the sample.

    Wang & He (2021), algorithm 1. Neighbours lie around the sample itself, also where Nesterov momentum takes the
    gradient ahead of it, and may leave [0, 1], as in the authors' code. The cube they are drawn from is that of L-inf.
    """

    neighbours: Annotated[int, Field(ge=1)] = 20
    """Number of neighbours at which gradients are taken."""
    beta: Annotated[float, Field(gt=0)] = 1.5
    """How far a neighbour's pixels may be away, in units of epsilon."""

    def start(self, images: Tensor) -> Tensor:
        """A variance of zero."""
        return torch.zeros_like(images)

    def __call__(self, gradients: Tensor, variance: Tensor, draws: Draws, nearby: Nearby) -> tuple[Tensor, Tensor]:
        """The tuned gradients, and the variance for the next step. All tensors (N, C, H, W)."""
        total = torch.zeros_like(gradients)
        for number in range(self.neighbours):
            name = f"/neighbour/{number}"
            noise = self.beta * (2 * draws.uniform(f"variance-tuning{name}", *gradients.shape[1:]) - 1)
            total += nearby(noise, name)
        return gradients + variance, total / self.neighbours - gradients
