"""Full batches of a network through torch.compile."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.models.ensemble import Ensemble


class Compiled(nn.Module):
    """Batches of one size run compiled, so that the shape is static; others, such as the last ones, as they are."""

    def __init__(self, model: nn.Module, size: int) -> None:
        """`size` is the number of images of the batches that are compiled."""
        super().__init__()
        self.model = model
        self.size = size
        self.passes: Any = torch.compile(model, dynamic=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W)."""
        logits: Tensor = self.passes(images) if len(images) == self.size else self.model(images)
        return logits


def compile_passes(model: nn.Module, size: int) -> nn.Module:
    """A model whose batches of `size` images are compiled when they first run; of an ensemble, every member.

    What was compiled before is forgotten: torch compiles a function for a few models only, and runs the rest as it is.
    """
    allow_several_gradients()
    torch.compiler.reset()
    if isinstance(model, Ensemble):
        return Ensemble([Compiled(member, size) for member in model.members], model.fuse)
    return Compiled(model, size)


def allow_several_gradients() -> None:
    """Let passes that are compiled from now on have several gradients each, as DeepFool and FAB take them.

    By default a compiled gradient overwrites what another would need, and torch refuses the second one.
    """
    from torch._functorch import config  # only where something is compiled: it takes a moment to load

    if hasattr(config, "donated_buffer"):
        config.donated_buffer = False
