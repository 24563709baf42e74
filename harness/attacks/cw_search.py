"""How CW looks for the smallest perturbation: Adam in variables without limits, and a bracket for the constant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attacks.slots import Flight

SHRINK = 0.999999
"""Keeps pixels off the ends of the range, where no gradient would ever move them."""

GROWTH, LARGEST = 10.0, 1e10
"""Factor of the constant until a point that fools is found, and the largest constant."""

FIRST_DECAY, SECOND_DECAY, STABILITY = 0.9, 0.999, 1e-8
"""Of Adam."""


def to_hidden(images: Tensor) -> Tensor:
    """Pixels in [0, 1] to variables without limits."""
    return torch.atanh(SHRINK * (2 * images - 1))


def to_pixels(hidden: Tensor) -> Tensor:
    """And back. The derivative is 2 x (1 - x) at pixel x."""
    return (torch.tanh(hidden) + 1) / 2


def adam(gradient: Tensor, first: Tensor, second: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The descent in units of the learning rate, and both moments (Kingma & Ba 2015, algorithm 1).

    `step` (N,) counts from 1 for each sample; all others (N, C, H, W).
    """
    step = step.view(-1, 1, 1, 1)
    first = FIRST_DECAY * first + (1 - FIRST_DECAY) * gradient
    second = SECOND_DECAY * second + (1 - SECOND_DECAY) * gradient**2
    mean, square = first / (1 - FIRST_DECAY**step), second / (1 - SECOND_DECAY**step)
    return mean / (square.sqrt() + STABILITY), first, second


def bracket(constant: Tensor, lower: Tensor, upper: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """After a trial: the next constant, the largest one known to fail, the smallest known to do. All (N,)."""
    upper = torch.where(found, constant.minimum(upper), upper)
    lower = torch.where(found, lower, constant.maximum(lower))
    following = torch.where(upper.isfinite(), (lower + upper) / 2, (GROWTH * constant).clamp_max(LARGEST))
    return following, lower, upper


@dataclass
class Search(Flight):
    """Samples on their way to the smallest perturbation, each with a trial, a constant and an optimiser of its own."""

    origin: Tensor
    """(B, C, H, W) clean images, off the ends of the range."""
    hidden: Tensor
    """(B, C, H, W) the variables that are optimised."""
    first: Tensor
    """(B, C, H, W) Adam's mean of gradients."""
    second: Tensor
    """(B, C, H, W) Adam's mean of squared gradients."""
    trials: Tensor
    """(B,) trials that are over."""
    constant: Tensor
    """(B,) weight of the margin against the squared distance."""
    lower: Tensor
    """(B,) the largest constant with which nothing was found."""
    upper: Tensor
    """(B,) the smallest constant with which something was found."""
    found: Tensor
    """(B,) whether this trial met a point that fools."""
    checked: Tensor
    """(B,) the objective at the last look at progress."""
    nearest: Tensor
    """(B, C, H, W) of all points that fool, the nearest one."""
    shortest: Tensor
    """(B,) its distance, infinite before there is one; float64."""

    def end_trial(self, rows: Tensor) -> None:
        """Begin the next trial of some samples, (B,) which ones, at their clean images and with the next constant."""
        if not rows.any():
            return
        before = (self.constant, self.lower, self.upper)
        after = bracket(*before, self.found)
        self.constant, self.lower, self.upper = (
            torch.where(rows, new, old) for new, old in zip(after, before, strict=True)
        )
        wide = rows.view(-1, 1, 1, 1)
        self.hidden = torch.where(wide, to_hidden(self.images), self.hidden)
        self.first, self.second = self.first.masked_fill(wide, 0), self.second.masked_fill(wide, 0)
        self.steps, self.found = self.steps.masked_fill(rows, 0), self.found & ~rows
        self.checked = self.checked.masked_fill(rows, torch.inf)
        self.trials = self.trials + rows
