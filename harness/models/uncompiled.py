"""Networks that come compiled or spread over devices, taken apart."""

from __future__ import annotations

import sys

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from harness.models.compiled import allow_several_gradients


def is_compiled(network: nn.Module) -> bool:
    """Whether it is what torch.compile made of a module."""
    # Without this module nothing was compiled, and loading it takes seconds.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and isinstance(network, dynamo.OptimizedModule)


def is_parallel(network: nn.Module) -> bool:
    """Whether it hands its images to copies of a network on several devices."""
    return isinstance(network, DataParallel | DistributedDataParallel)


def unwrapped(network: nn.Module) -> nn.Module:
    """What torch.compile and data parallelism were put around."""
    while is_compiled(network) or is_parallel(network):
        network = network._orig_mod if is_compiled(network) else network.module  # type: ignore[assignment]
    return network


def uncompiled(network: nn.Module) -> nn.Module:
    """The network without torch.compile and data parallelism, in place; the same function.

    It can be folded, examined, moved and compiled anew. Functions that forward passes call stay compiled. Hooks on the
    form that is taken off are lost.
    """
    if "torch._dynamo" in sys.modules:
        allow_several_gradients()
    network = unwrapped(network)
    if getattr(network, "_compiled_call_impl", None) is not None:
        network._compiled_call_impl = None
    for name, child in network.named_children():
        if (plain := uncompiled(child)) is not child:
            setattr(network, name, plain)
    return network
