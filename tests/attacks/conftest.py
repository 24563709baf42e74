"""Tiny models whose gradients are known or smooth, and one way to run an attack."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import Attack, Crafted, Model, Samples, Setting

Craft = Callable[[Attack, Model, Samples, Setting], Crafted]


@pytest.fixture(scope="session")
def network() -> nn.Module:
    """A smooth network: images (N, 3, H, W) of any size to five logits, no exactly zero gradients."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.Softplus(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 5),
        )  # fmt: skip
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.mul_(2.5)
    return layers.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def samples(network: nn.Module) -> Samples:
    """Eight images (8, 3, 16, 16) with pixels at both ends of the range, labelled as the network sees them."""
    images = (1.2 * torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.1).clamp(0, 1)
    return Samples(images, network(images).argmax(1), 100 + 7 * torch.arange(8))


@pytest.fixture(scope="session")
def craft() -> Craft:
    """Run an attack to its end and put its results in the order of the samples."""

    def run(attack: Attack, model: Model, samples: Samples, setting: Setting) -> Crafted:
        made = [part[:4] for part in attack.craft(model, samples, setting)]
        parts = [torch.cat(part) for part in zip(*made, strict=True)]
        order = parts[0].argsort()
        assert parts[0][order].tolist() == list(range(len(samples))), "every sample is yielded exactly once"
        return Crafted(*(part[order] for part in parts))

    return run


@pytest.fixture
def grey() -> Tensor:
    """Four grey images (4, 1, 4, 4), far from both ends of the range."""
    return torch.full((4, 1, 4, 4), 0.5)
