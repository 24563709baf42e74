"""Wide residual networks (Zagoruyko & Komodakis 2016): few wide blocks that normalize before they convolve."""

from __future__ import annotations

from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.convolutions import convolution, initialize
from harness.models.networks.norms import norm_factory
from harness.models.networks.stages import BlockShape, Stages, Style

STEM = 16
"""Channels of the first convolution."""


class WideBlock(nn.Module):
    """Twice norm, activation and 3x3 convolution, and a shortcut; a 1x1 projection where the shape changes."""

    def __init__(self, shape: BlockShape, style: Style) -> None:
        """A projection shares the first norm and activation with the branch."""
        super().__init__()
        make_norm = norm_factory(style.norm)
        self.activation = style.make_activation()
        self.norm1 = make_norm(shape.inputs)
        self.conv1 = convolution(shape.inputs, shape.inner, 3, shape.stride, style.norm)
        self.norm2 = make_norm(shape.inner)
        self.conv2 = convolution(shape.inner, shape.outputs, 3, 1, style.norm)
        self.has_shortcut = style.shortcut
        self.projection = (
            convolution(shape.inputs, shape.outputs, 1, shape.stride, style.norm)
            if style.shortcut and shape.is_projected
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        start = self.activation(self.norm1(x))
        out: Tensor = self.conv2(self.activation(self.norm2(self.conv1(start))))
        if not self.has_shortcut:
            return out
        return out + (x if self.projection is None else self.projection(start))

    def extra_repr(self) -> str:
        """Shows a missing shortcut, which no layer tells."""
        return "" if self.has_shortcut else "shortcut=False"


class WideResNet(nn.Module):
    """A 3x3 convolution, stages of wide blocks, a last norm, a global average and one linear layer."""

    def __init__(self, stages: Stages, width: int, classes: int, channels: int, style: Style) -> None:
        """Without normalization each residual branch starts at zero, as in `ResNet`."""
        super().__init__()
        self.activation = style.make_activation()
        self.conv = convolution(channels, STEM, 3, 1, style.norm)
        blocks = [WideBlock(shape, style) for shape in stages.shapes(STEM, width)]
        self.blocks = nn.Sequential(*blocks)
        outputs = blocks[-1].conv2.out_channels
        self.norm = norm_factory(style.norm)(outputs)
        self.logits = nn.Linear(outputs, classes)
        initialize(self, style.activation)
        if style.norm == "none" and style.shortcut:
            for block in blocks:
                nn.init.zeros_(block.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        out = self.activation(self.norm(self.blocks(self.conv(x))))
        logits: Tensor = self.logits(out.mean(dim=(2, 3)))
        return logits


@NETWORKS.register("wrn28")
def wrn28(
    classes: int = 10,
    channels: int = 3,
    norm: str = "bn",
    width: int = 160,
    activation: str = "relu",
    shortcut: bool = True,
) -> WideResNet:
    """WRN-28-k, a wide ResNet of 28 layers; the width is 16 k, that of WRN-28-10 by default."""
    return WideResNet(Stages((4, 4, 4)), width, classes, channels, Style(norm, activation, shortcut))
