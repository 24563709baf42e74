"""How a recipe's images pass through a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.models.layout import layout_of
from harness.models.recipe import Recipe


@dataclass(frozen=True)
class ForwardPass:
    """Images (N, C, H, W) in [0, 1] to logits (N, K) in float32, in a precision and a memory layout."""

    passes: Callable[[Tensor], Any]
    """The network, or what was compiled of it."""
    device: torch.device
    """Where it is."""
    layout: torch.memory_format
    """In which its images are laid out."""
    low: bool = False
    """Whether passes are in bfloat16."""
    compiled: bool = False
    """Whether `passes` were compiled."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.low):
            logits: Tensor = self.passes(images.contiguous(memory_format=self.layout))
        return logits.float()

    def through(self, network: nn.Module) -> ForwardPass:
        """The same through another network of the same kind, which is not compiled."""
        return replace(self, passes=network, compiled=False)


def forward_pass(network: nn.Module, recipe: Recipe, device: torch.device) -> ForwardPass:
    """Through a network as the recipe says."""
    passes: Any = torch.compile(network) if recipe.compile else network
    return ForwardPass(passes, device, layout_of(network, device), recipe.precision == "bfloat16", recipe.compile)
