"""Networks that come compiled, taken apart."""

from __future__ import annotations

import sys

from torch import nn

from harness.models.compiled import allow_several_gradients


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
