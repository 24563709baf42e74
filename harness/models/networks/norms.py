"""Normalization layers by name. Every factory takes the channel count first, so that they can be swapped."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from harness.core.errors import HarnessError, did_you_mean

NormFactory = Callable[[int], nn.Module]


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalization (Wu & He 2018) with min(32, channels / 2) groups: none shrinks to a single channel."""
    return nn.GroupNorm(max(1, min(32, channels // 2)), channels)


NORMS: dict[str, NormFactory] = {
    "none": lambda channels: nn.Identity(),
    "bn": nn.BatchNorm2d,
    "gn": group_norm,
}


def norm_factory(name: str) -> NormFactory:
    """The layer factory under a name. Raises HarnessError for an unknown one."""
    if name not in NORMS:
        raise HarnessError(f'norm "{name}" is unknown.\n     {did_you_mean(name, NORMS)}')
    return NORMS[name]


def convolution(inputs: int, outputs: int, kernel_size: int, stride: int, norm: str) -> nn.Conv2d:
    """A padded convolution, with a bias exactly when no normalization follows to provide one."""
    return nn.Conv2d(inputs, outputs, kernel_size, stride, kernel_size // 2, bias=norm == "none")
