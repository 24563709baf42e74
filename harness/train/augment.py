"""Augmentation of a whole batch at once, on the device that holds it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.models.recipe import Recipe
from harness.train.autoaugment import autoaugment


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """A batch as the recipe augments it. (N, C, H, W), dtype and shape kept."""
    images = random_crop(images, recipe.crop, generator)
    images = random_flip(images, generator) if recipe.flip else images
    return autoaugment(images, generator) if recipe.autoaugment else images


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Each image its own crop of the reflection-padded batch. (N, C, H, W), any dtype, shape kept."""
    if padding == 0:
        return images
    count, _, height, width = images.shape
    # Reflection padding is not defined for integer tensors.
    padded = F.pad(images.float(), (padding,) * 4, mode="reflect").to(images.dtype)
    top, left = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator).to(images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    every = torch.arange(count, device=images.device)
    # Index arrays around a slice put the channel last: (N, H, W, C).
    return padded[every[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right with probability one half. (N, C, H, W)."""
    flipped = torch.rand((len(images), 1, 1, 1), generator=generator) < 0.5
    return torch.where(flipped.to(images.device), images.flip(3), images)
