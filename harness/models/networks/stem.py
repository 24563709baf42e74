"""How a residual network begins: with one 3x3 convolution, or for large images with a quarter of their side."""

from __future__ import annotations

from torch import nn

from harness.models.networks.convolutions import convolution
from harness.models.networks.stages import Style


def stem_convolution(channels: int, width: int, style: Style) -> nn.Conv2d:
    """3x3, or for large images 7x7 with stride 2 (He et al. 2016, table 1)."""
    if style.stem == "large":
        return convolution(channels, width, 7, 2, style.norm)
    return convolution(channels, width, 3, 1, style.norm)


def stem_pooling(style: Style) -> list[nn.Module]:
    """What follows the stem's activation: for large images, the largest values of overlapping 3x3 windows."""
    return [nn.MaxPool2d(3, 2, 1)] if style.stem == "large" else []
