"""The gradient of a loss with respect to images, which all gradient attacks follow."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from harness.attacks import Model
from harness.core.losses import Loss
from harness.models.ensemble import mean_log_probabilities, parts_of


class Slope(NamedTuple):
    """What a model shows at some points."""

    gradient: Tensor
    """(N, C, H, W) of the loss with respect to the images; zero where a model hides it."""
    logits: Tensor
    """(N, K)."""
    losses: Tensor
    """(N,) what the gradient is of: no function of the logits where these are means over passes or members."""


def input_gradient(model: Model, images: Tensor, classes: Tensor, loss: Loss, repeats: int = 1) -> Slope:
    """Gradient of the per-sample loss with respect to the images (N, C, H, W), with logits and losses.

    Zero where a model hides its gradient: entries that are not finite, and logits cut off from the images. With
    `repeats`, all are means over several passes, for models that answer at random (EOT, Athalye et al. 2018).
    """
    slope = _one_slope(model, images, classes, loss)
    if repeats == 1:
        return slope
    total = slope
    for _ in range(repeats - 1):
        total = Slope(*map(torch.add, total, _one_slope(model, images, classes, loss)))
    return Slope(*(part / repeats for part in total))


def _one_slope(model: Model, images: Tensor, classes: Tensor, loss: Loss) -> Slope:
    """Of one pass through every part of the model."""
    slopes = [_slope_of(part, images, classes, loss) for part in parts_of(model)]
    if len(slopes) == 1:
        return slopes[0]
    gradients, logits, losses = map(torch.stack, zip(*slopes, strict=True))
    return Slope(gradients.mean(0), mean_log_probabilities(logits), losses.mean(0))


@torch.enable_grad()
def _slope_of(model: Model, images: Tensor, classes: Tensor, loss: Loss) -> Slope:
    images = images.detach().requires_grad_()
    logits = model(images)
    losses = loss(logits, classes)
    if not logits.requires_grad:
        return Slope(torch.zeros_like(images), logits, losses)
    (gradient,) = torch.autograd.grad(losses.sum(), images, allow_unused=True, materialize_grads=True)
    return Slope(gradient.nan_to_num(0.0, 0.0, 0.0), logits.detach(), losses.detach())
