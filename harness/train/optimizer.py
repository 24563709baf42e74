"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from harness.models.recipe import Recipe


def make_optimizer(parameters: Sequence[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer | None:
    """The recipe's optimizer with a rate of zero, which the schedule sets; None where nothing learns."""
    if not parameters:
        return None
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1 and recipe.decay == "matrices"]
    spared = {id(parameter) for parameter in vectors}
    decaying = [parameter for parameter in parameters if id(parameter) not in spared]
    groups = [
        {"params": group, "weight_decay": decay}
        for group, decay in ((decaying, recipe.weight_decay), (vectors, 0.0))
        if group
    ]
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
        case "adam":
            return torch.optim.Adam(groups, lr=0.0)
        case "adagrad":
            return torch.optim.Adagrad(groups, lr=0.0)


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
