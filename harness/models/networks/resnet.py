"""ResNets (He et al. 2016) and ResNeXt (Xie et al. 2017), for small images unless asked for the stem of large ones."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.convolutions import convolution, initialize
from harness.models.networks.fixup import FixupResNet
from harness.models.networks.norms import norm_factory
from harness.models.networks.stages import BlockShape, Stages, Style
from harness.models.networks.stem import stem_convolution, stem_pooling


def projection(shape: BlockShape, norm: str) -> nn.Module:
    """The shortcut of a block: a 1x1 convolution where the shape changes."""
    if not shape.is_projected:
        return nn.Identity()
    return nn.Sequential(
        convolution(shape.inputs, shape.outputs, 1, shape.stride, norm), norm_factory(norm)(shape.outputs)
    )


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, shape: BlockShape, style: Style) -> None:
        """Without shortcut, the two convolutions alone."""
        super().__init__()
        make_norm = norm_factory(style.norm)
        self.activation = style.make_activation()
        self.conv1 = convolution(shape.inputs, shape.inner, 3, shape.stride, style.norm)
        self.norm1 = make_norm(shape.inner)
        self.conv2 = convolution(shape.inner, shape.outputs, 3, 1, style.norm)
        self.norm2 = make_norm(shape.outputs)
        self.shortcut = projection(shape, style.norm) if style.shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.activation(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        return self.activation(out if self.shortcut is None else out + self.shortcut(x))

    @property
    def last(self) -> nn.Conv2d:
        """The last convolution of the branch."""
        return self.conv2


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, and a shortcut; the stride is that of the 3x3 convolution."""

    def __init__(self, shape: BlockShape, style: Style) -> None:
        """Without shortcut, the three convolutions alone."""
        super().__init__()
        make_norm = norm_factory(style.norm)
        self.activation = style.make_activation()
        self.conv1 = convolution(shape.inputs, shape.inner, 1, 1, style.norm)
        self.norm1 = make_norm(shape.inner)
        self.conv2 = convolution(shape.inner, shape.inner, 3, shape.stride, style.norm, shape.groups)
        self.norm2 = make_norm(shape.inner)
        self.conv3 = convolution(shape.inner, shape.outputs, 1, 1, style.norm)
        self.norm3 = make_norm(shape.outputs)
        self.shortcut = projection(shape, style.norm) if style.shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.activation(self.norm1(self.conv1(x)))
        out = self.activation(self.norm2(self.conv2(out)))
        out = self.norm3(self.conv3(out))
        return self.activation(out if self.shortcut is None else out + self.shortcut(x))

    @property
    def last(self) -> nn.Conv2d:
        """The last convolution of the branch."""
        return self.conv3


class ResNet(nn.Module):
    """A stem, stages of residual blocks, a global average and one linear layer."""

    def __init__(self, stages: Stages, width: int, classes: int, channels: int, style: Style) -> None:
        """Without normalization each residual branch starts at zero (its last convolution is zeroed).

        The sum over blocks would otherwise double its variance at every block and the first steps diverge.
        """
        super().__init__()
        self.activation = style.make_activation()
        self.conv = stem_convolution(channels, width, style)
        self.norm = norm_factory(style.norm)(width)
        make_block = Bottleneck if stages.bottleneck else Block
        blocks = [make_block(shape, style) for shape in stages.shapes(width, width)]
        self.blocks = nn.Sequential(*stem_pooling(style), *blocks)
        self.logits = nn.Linear(blocks[-1].last.out_channels, classes)
        initialize(self, style.activation)
        if style.norm == "none" and style.shortcut:
            for block in blocks:
                nn.init.zeros_(block.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        out = self.blocks(self.activation(self.norm(self.conv(x))))
        logits: Tensor = self.logits(out.mean(dim=(2, 3)))
        return logits


def _register(name: str, summary: str, stages: Stages, first_stage: int) -> None:
    def resnet(
        classes: int = 10,
        channels: int = 3,
        norm: str = "bn",
        width: int = first_stage,
        activation: str = "relu",
        shortcut: bool = True,
        stem: Literal["small", "large"] = "small",
    ) -> nn.Module:
        style = Style(norm, activation, shortcut, stem)
        make = FixupResNet if norm == "fixup" else ResNet
        return make(stages, width, classes, channels, style)

    resnet.__doc__ = summary
    NETWORKS.add(name, resnet)


for _n in (1, 3, 5, 6, 7, 9):
    _depth = 6 * _n + 2
    _register(
        f"resnet{_depth}", f"ResNet-{_depth} for small images: three stages of {_n} blocks.", Stages((_n,) * 3), 16
    )
_register(
    "resnet74", "ResNet-74 for small images: three stages of 8 bottlenecks.", Stages((8, 8, 8), bottleneck=True), 16
)
_register("resnet18", "ResNet-18 with a stem for small images.", Stages((2, 2, 2, 2)), 64)
_register("resnet34", "ResNet-34 with a stem for small images.", Stages((3, 4, 6, 3)), 64)
_register("resnet50", "ResNet-50 with a stem for small images.", Stages((3, 4, 6, 3), bottleneck=True), 64)
_register(
    "resnext29", "ResNeXt-29 for small images, with 8 groups of 64.", Stages((3, 3, 3), bottleneck=True, groups=8), 64
)
