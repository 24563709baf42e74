"""ResNets of depth 6n + 2 for 32-pixel images and smaller (He et al. 2016, section 4.2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.norms import convolution, norm_factory


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; a 1x1 projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        """`stride` is that of the first convolution and of the shortcut."""
        super().__init__()
        make_norm = norm_factory(norm)
        self.conv1 = convolution(inputs, outputs, 3, stride, norm)
        self.norm1 = make_norm(outputs)
        self.conv2 = convolution(outputs, outputs, 3, 1, norm)
        self.norm2 = make_norm(outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(convolution(inputs, outputs, 1, stride, norm), make_norm(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of `blocks` residual blocks, of width, 2 width and 4 width channels."""

    def __init__(self, blocks: int, classes: int, channels: int, norm: str, width: int) -> None:
        """`blocks` is n of the depth 6n + 2."""
        super().__init__()
        self.conv = convolution(channels, width, 3, 1, norm)
        self.norm = norm_factory(norm)(width)
        widths = [width, 2 * width, 4 * width]
        stages = []
        inputs = width
        for stage, outputs in enumerate(widths):
            for block in range(blocks):
                stages.append(Block(inputs, outputs, 2 if stage > 0 and block == 0 else 1, norm))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.logits = nn.Linear(inputs, classes)
        initialize(self, damp_residuals=norm == "none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        out = self.blocks(F.relu(self.norm(self.conv(x))))
        logits: Tensor = self.logits(out.mean(dim=(2, 3)))
        return logits


def initialize(network: nn.Module, damp_residuals: bool) -> None:
    """He-normal convolutions (He et al. 2015), zero biases.

    Without normalization each residual branch starts at zero (its last convolution is zeroed): the sum over
    blocks would otherwise double its variance at every block and the first steps diverge.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if damp_residuals:
        for module in network.modules():
            if isinstance(module, Block):
                nn.init.zeros_(module.conv2.weight)


def _register(depth: int) -> None:
    blocks, remainder = divmod(depth - 2, 6)
    assert remainder == 0, depth

    def resnet(classes: int = 10, channels: int = 3, norm: str = "bn", width: int = 16) -> ResNet:
        return ResNet(blocks, classes, channels, norm, width)

    resnet.__doc__ = f"ResNet-{depth} for small images: three stages of {blocks} blocks."
    NETWORKS.add(f"resnet{depth}", resnet)


for _depth in (8, 20, 32, 44, 56):
    _register(_depth)
