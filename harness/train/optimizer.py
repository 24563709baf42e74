"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from harness.models.recipe import Recipe

SCALAR_RATE = 0.1
"""Share of the learning rate for parameters of one number: the shifts and scales of Fixup (Zhang et al. 2019)."""


def make_optimizer(parameters: Sequence[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer | None:
    """The recipe's optimizer with a rate of zero, which the schedule sets; None where nothing learns."""
    if not parameters:
        return None
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in parameters:
        decay = recipe.weight_decay if parameter.ndim > 1 or recipe.decay == "all" else 0.0
        factor = SCALAR_RATE if parameter.numel() == 1 else 1.0
        groups.setdefault((decay, factor), []).append(parameter)
    options = [{"params": group, "weight_decay": decay, "factor": factor} for (decay, factor), group in groups.items()]
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(options, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
        case "adam":
            return torch.optim.Adam(options, lr=0.0)
        case "adagrad":
            return torch.optim.Adagrad(options, lr=0.0)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step have a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """The rate of a step: a linear rise over the warm-up, then the schedule's fall."""
    warmup = recipe.warmup * steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, steps - warmup)
    match recipe.schedule:
        case "one-cycle":
            return recipe.learning_rate * (1 - done)
        case "cosine":
            return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
        case "step":
            milestones = recipe.milestones or (recipe.epochs / 2, 3 * recipe.epochs / 4)
            passed = sum(step >= milestone * steps / recipe.epochs for milestone in milestones)
            return float(recipe.learning_rate * 0.1**passed)
