"""Fixup: residual networks that train without normalization (Zhang, Dauphin & Ma 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError
from harness.models.networks.activations import activation_factory
from harness.models.networks.convolutions import convolution, initialize
from harness.models.networks.stages import BlockShape, Stages, Style
from harness.models.networks.stem import stem_convolution, stem_pooling


class Shift(nn.Module):
    """Adds one learned number, zero at first."""

    def __init__(self) -> None:
        """The number is `bias`."""
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """`x` of any shape."""
        return x + self.bias


class Scale(nn.Module):
    """Multiplies by one learned number, one at first."""

    def __init__(self) -> None:
        """The number is `weight`."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """`x` of any shape."""
        return x * self.weight


class FixupBlock(nn.Module):
    """A residual block with a shift before every convolution and activation, and one scale."""

    def __init__(self, shape: BlockShape, style: Style, bottleneck: bool) -> None:
        """The branch is that of a `Block` or a `Bottleneck`."""
        super().__init__()
        make_activation = activation_factory(style.activation)
        self.convolutions = (_bottleneck if bottleneck else _basic)(shape)
        *first, last = self.convolutions
        layers: list[nn.Module] = []
        for conv in first:
            layers += [Shift(), conv, Shift(), make_activation()]
        self.branch = nn.Sequential(*layers, Shift(), last, Scale(), Shift())
        self.shortcut = (
            nn.Sequential(Shift(), convolution(shape.inputs, shape.outputs, 1, shape.stride, style.norm))
            if shape.is_projected
            else nn.Identity()
        )
        self.activation = make_activation()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: Tensor = self.activation(self.branch(x) + self.shortcut(x))
        return out

    @torch.no_grad()
    def rescale(self, branches: int) -> None:
        """Zero the last of m convolutions, and scale the others by L^(-1 / (2m - 2)) in a network of L branches."""
        *first, last = self.convolutions
        nn.init.zeros_(last.weight)
        for conv in first:
            conv.weight.mul_(branches ** (-1 / (2 * len(self.convolutions) - 2)))


class FixupResNet(nn.Module):
    """A ResNet without normalization whose first steps change its function as little as those of a shallow one."""

    def __init__(self, stages: Stages, width: int, classes: int, channels: int, style: Style) -> None:
        """All logits are zero at first. Raises HarnessError without shortcuts: every branch starts at zero."""
        super().__init__()
        if not style.shortcut:
            raise HarnessError(
                'norm "fixup" needs the shortcuts: every branch starts at zero.\n     set shortcut = true'
            )
        self.conv = stem_convolution(channels, width, style)
        self.shift = Shift()
        self.activation = activation_factory(style.activation)()
        blocks = [FixupBlock(shape, style, stages.bottleneck) for shape in stages.shapes(width, width)]
        self.blocks = nn.Sequential(*stem_pooling(style), *blocks)
        self.logits_shift = Shift()
        self.logits = nn.Linear(blocks[-1].convolutions[-1].out_channels, classes)
        initialize(self, style.activation)
        for block in blocks:
            block.rescale(len(blocks))
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        out = self.blocks(self.activation(self.shift(self.conv(x))))
        logits: Tensor = self.logits(self.logits_shift(out.mean(dim=(2, 3))))
        return logits


def _basic(shape: BlockShape) -> list[nn.Conv2d]:
    return [
        convolution(shape.inputs, shape.inner, 3, shape.stride, "fixup"),
        convolution(shape.inner, shape.outputs, 3, 1, "fixup"),
    ]


def _bottleneck(shape: BlockShape) -> list[nn.Conv2d]:
    return [
        convolution(shape.inputs, shape.inner, 1, 1, "fixup"),
        convolution(shape.inner, shape.inner, 3, shape.stride, "fixup", shape.groups),
        convolution(shape.inner, shape.outputs, 1, 1, "fixup"),
    ]
