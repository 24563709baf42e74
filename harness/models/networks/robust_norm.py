"""RobustNorm (Awais, Shamshad & Bae 2020): BatchNorm that divides by a power of the range, not by the deviation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

EPSILON = 1e-5
"""Added to the power of the range, which is zero where a channel is constant."""

OVER_BATCH_AND_POSITIONS = (0, 2, 3)


def power_of_range(x: Tensor, power: float) -> Tensor:
    """(max - min)^power of each channel over batch and positions: (N, C, H, W) to (1, C, 1, 1).

    A constant channel has zero, with a gradient of zero instead of an infinite one.
    """
    # In channels-last memory this is a view, in which maxima are several times faster than over three axes.
    pixels = x.movedim(1, -1).flatten(0, 2)
    where = torch.stack([pixels.detach().max(0).indices, pixels.detach().min(0).indices])
    largest, smallest = pixels.gather(0, where)  # one gather, so that the gradient is scattered once
    extent = (largest - smallest).to(torch.promote_types(x.dtype, torch.float32))
    varies = extent > 0
    return torch.where(varies, torch.where(varies, extent, 1.0).pow(power), 0.0).view(1, -1, 1, 1)


class RobustNorm2d(nn.Module):
    """y = (x - mean) / (range^power + 1e-5) per channel, then a learned scale and shift.

    The range is always that of the batch at hand, and so is the mean in training mode. In eval mode `view` decides.
    """

    running_mean: Tensor

    def __init__(self, channels: int, power: float = 0.2, momentum: float = 0.1) -> None:
        """`power` is p of the paper, `momentum` its tau: the share of a batch's mean in the tracked mean."""
        super().__init__()
        self.channels = channels
        self.power = power
        self.momentum = momentum
        self.view: Literal["batch", "tracked"] = "batch"
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape and type."""
        scale = self.weight.view(1, -1, 1, 1) / (power_of_range(x, self.power) + EPSILON)
        shift = self.bias.view(1, -1, 1, 1) - self._mean(x) * scale
        return x * scale.to(x.dtype) + shift.to(x.dtype)

    def reset_running_stats(self) -> None:
        """Forget the tracked mean, as BatchNorm's method of this name does."""
        self.running_mean.zero_()

    def _mean(self, x: Tensor) -> Tensor:
        """(1, C, 1, 1) the mean to subtract; in training mode the tracked one moves towards it."""
        if self.view == "tracked" and not self.training:
            return self.running_mean.view(1, -1, 1, 1)
        mean = x.mean(OVER_BATCH_AND_POSITIONS, keepdim=True)
        if self.training:
            with torch.no_grad():
                self.running_mean.lerp_(mean.flatten().to(self.running_mean.dtype), self.momentum)
        return mean

    def extra_repr(self) -> str:
        """What the fingerprint must tell apart."""
        return f"{self.channels}, power={self.power}, momentum={self.momentum}, view={self.view}"
