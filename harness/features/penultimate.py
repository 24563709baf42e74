"""Penultimate activations: what a classifier's last linear layer sees."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from harness.core.errors import HarnessError


def penultimate(model: nn.Module, images: Tensor) -> Tensor:
    """(N, C, H, W) to float32 (N, D): the input of the linear layer that runs last.

    Raises:
        HarnessError: when no linear layer takes part.
    """
    seen: list[Tensor] = []

    def remember(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen[:] = [inputs[0]]

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(remember) for layer in layers]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise HarnessError(
            'the network has no linear layer: kind = "match" needs the activations in front of its last one'
        )
    return seen[0].flatten(1).float()
