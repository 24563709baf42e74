"""Convolutions: their padding, their bias, their initialization, and standardized weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-5
"""Added to the deviation of standardized weights."""

WEIGHT_STANDARDIZED = "ws-gn"
"""The norm whose convolutions have standardized weights."""


def standardized(weight: Tensor) -> Tensor:
    """Filters (outputs, inputs, kH, kW), each with mean 0 and deviation 1."""
    deviation, mean = torch.std_mean(weight, dim=(1, 2, 3), correction=0, keepdim=True)
    return (weight - mean) / (deviation + EPSILON)


class WeightStandardizedConv2d(nn.Conv2d):
    """A convolution by standardized filters (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: Tensor = self._conv_forward(x, standardized(self.weight), self.bias)
        return out


def convolution(inputs: int, outputs: int, kernel_size: int, stride: int, norm: str, groups: int = 1) -> nn.Conv2d:
    """A padded convolution, with a bias exactly when no normalization follows to provide one."""
    make = WeightStandardizedConv2d if norm == WEIGHT_STANDARDIZED else nn.Conv2d
    return make(inputs, outputs, kernel_size, stride, kernel_size // 2, groups=groups, bias=norm == "none")


def initialize(network: nn.Module, activation: str, mode: str = "fan_out") -> None:
    """He-normal convolutions (He et al. 2015), zero biases.

    `mode` "fan_out" keeps the variance of gradients from layer to layer, "fan_in" that of activations.
    """
    # SELU normalizes by itself from a gain of 1 (Klambauer et al. 2017).
    nonlinearity = "linear" if activation == "selu" else "relu"
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity=nonlinearity)  # type: ignore[arg-type]
            if module.bias is not None:
                nn.init.zeros_(module.bias)
