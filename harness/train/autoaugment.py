"""AutoAugment's policy for CIFAR-10 (Cubuk et al. 2019), as torchvision draws and applies it, on whole batches."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.transforms import v2

POLICY: Any = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
"""Asked apart for what it draws and for what it does, so that images that draw the same go together."""


class Step(NamedTuple):
    """What is done to an image."""

    operation: str
    """By torchvision's name, such as "ShearX"."""
    magnitude: float
    """In the operation's own unit; 0 where it has none."""


def autoaugment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image by a sub-policy of its own. (N, C, H, W) uint8.

    torchvision draws from the global generator, which is seeded from `generator` here and put back afterwards.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        drawn = [draw(images.shape[2], images.shape[3]) for _ in images]
    for steps in zip(*drawn, strict=True):
        images = in_groups(images, steps)
    return images


def draw(height: int, width: int) -> list[Step | None]:
    """Two steps for one image, None for one that is left out, from the numbers that torchvision would draw for it.

    They come from the global generator.
    """
    policy = POLICY._policies[int(torch.randint(len(POLICY._policies), ()))]
    return [
        draw_step(operation, index, height, width) if torch.rand(()) <= probability else None
        for operation, probability, index in policy
    ]


def draw_step(operation: str, index: int | None, height: int, width: int) -> Step:
    """An operation with its magnitude, which goes either way where it has a sign."""
    magnitudes, signed = magnitudes_of(operation, height, width)
    if magnitudes is None or index is None:
        return Step(operation, 0.0)
    sign = -1 if signed and torch.rand(()) <= 0.5 else 1
    return Step(operation, sign * magnitudes[index])


@cache
def magnitudes_of(operation: str, height: int, width: int) -> tuple[list[float] | None, bool]:
    """An operation's magnitudes by level, None where it has none, and whether they have a sign."""
    magnitudes, signed = POLICY._AUGMENTATION_SPACE[operation]
    found = magnitudes(10, height, width)
    return None if found is None else found.tolist(), signed


def in_groups(images: Tensor, steps: tuple[Step | None, ...]) -> Tensor:
    """Each image with its own step, or as it was for None; images with the same one at a time. (N, C, H, W) uint8."""
    groups: dict[Step, list[int]] = {}
    for row, step in enumerate(steps):
        if step:
            groups.setdefault(step, []).append(row)
    images = images.clone()
    for step, rows in groups.items():
        chosen = torch.tensor(rows, device=images.device)
        images[chosen] = apply(images[chosen], step)
    return images


def apply(images: Tensor, step: Step) -> Tensor:
    """The same step on every image. (N, C, H, W) uint8."""
    done: Tensor = POLICY._apply_image_or_video_transform(images, *step, POLICY.interpolation, POLICY._fill)
    return done
