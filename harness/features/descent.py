"""The one mechanism: images are changed step by step so that a network sees in them what it should."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.core.balls import BALLS
from harness.core.losses import cross_entropy
from harness.data.feature_card import Descent
from harness.features.penultimate import penultimate

Objective = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) to what is to become small, (N,), each by itself."""


def towards_activations(model: nn.Module, images: Tensor) -> Objective:
    """Euclidean distance to the penultimate activations of other images (N, C, H, W)."""
    with torch.no_grad():
        wanted = penultimate(model, images)
    return lambda points: torch.linalg.vector_norm(penultimate(model, points) - wanted, dim=1)


def towards_classes(model: nn.Module, classes: Tensor) -> Objective:
    """Cross-entropy of wanted classes (N,)."""
    return lambda points: cross_entropy(model(points), classes)


def descend(
    objective: Objective, images: Tensor, rule: Descent, after_step: Callable[[int], None] = lambda images: None
) -> Tensor:
    """(N, C, H, W) images in [0, 1], changed for `rule.steps` steps; the last ones count.

    Args:
        objective: what is to become small.
        images: where descent begins, and the centres of the balls.
        rule: norm, radius, number and length of the steps.
        after_step: called with the number of images after every step.
    """
    ball = BALLS[rule.norm](rule.epsilon or torch.inf)
    points = images
    for _ in range(rule.steps):
        points = points - rule.step_size * ball.steepest(slope(objective, points))
        points = points.clamp(0, 1) if rule.epsilon is None else ball.project(images, points)
        after_step(len(images))
    return points


@torch.enable_grad()
def slope(objective: Objective, points: Tensor) -> Tensor:
    """Gradients of an objective, (N, C, H, W); zero where they are not finite."""
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(points).sum(), points)
    return gradient.nan_to_num(0.0, 0.0, 0.0)
