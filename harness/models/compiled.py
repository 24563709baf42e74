"""Full batches of a network through torch.compile; and networks that come compiled."""

from __future__ import annotations

import sys
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


def is_compiled(network: nn.Module) -> bool:
    """Whether it is what torch.compile made of a module."""
    # Without this module nothing was compiled, and loading it takes seconds.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and isinstance(network, dynamo.OptimizedModule)


def uncompiled(network: nn.Module) -> nn.Module:
    """The network without torch.compile, in place; the same function, which can be folded, examined and compiled anew.

    Functions that forward passes call stay compiled. Hooks on the compiled form are lost.
    """
    if "torch._dynamo" in sys.modules:
        allow_several_gradients()
    while is_compiled(network):
        network = network._orig_mod  # type: ignore[assignment]
    if getattr(network, "_compiled_call_impl", None) is not None:
        network._compiled_call_impl = None
    for name, child in network.named_children():
        if (plain := uncompiled(child)) is not child:
            setattr(network, name, plain)
    return network
