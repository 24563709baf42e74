"""DenseNet-BC for small images (Huang et al. 2017): every layer reads the outputs of all layers before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.activations import activation_factory
from harness.models.networks.convolutions import convolution, initialize
from harness.models.networks.norms import norm_factory

BOTTLENECK = 4
"""Channels of a layer's 1x1 convolution, in units of the growth."""


class DenseLayer(nn.Module):
    """A 1x1 and a 3x3 convolution, each after norm and activation, whose output joins the input."""

    def __init__(self, inputs: int, growth: int, norm: str, activation: str) -> None:
        """`growth` is the number of channels that the layer adds."""
        super().__init__()
        make_norm, make_activation = norm_factory(norm), activation_factory(activation)
        inner = BOTTLENECK * growth
        self.branch = nn.Sequential(
            make_norm(inputs),
            make_activation(),
            convolution(inputs, inner, 1, 1, norm),
            make_norm(inner),
            make_activation(),
            convolution(inner, growth, 3, 1, norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, inputs + growth, H, W)."""
        return torch.cat([x, self.branch(x)], dim=1)


def transition(inputs: int, norm: str, activation: str) -> nn.Sequential:
    """Between two blocks: half the channels and half the pixels."""
    return nn.Sequential(
        norm_factory(norm)(inputs),
        activation_factory(activation)(),
        convolution(inputs, inputs // 2, 1, 1, norm),
        nn.AvgPool2d(2, 2),
    )


class DenseNet(nn.Module):
    """Blocks of dense layers with transitions between them, a last norm, a global average and one linear layer."""

    def __init__(
        self, blocks: tuple[int, ...], width: int, classes: int, channels: int, norm: str, activation: str
    ) -> None:
        """`blocks` counts the layers of each; the growth is half of `width`, the channels of the first convolution."""
        super().__init__()
        growth = max(1, width // 2)
        self.conv = convolution(channels, width, 3, 1, norm)
        layers: list[nn.Module] = []
        outputs = width
        for number, block in enumerate(blocks):
            if number > 0:
                layers.append(transition(outputs, norm, activation))
                outputs //= 2
            for _ in range(block):
                layers.append(DenseLayer(outputs, growth, norm, activation))
                outputs += growth
        self.layers = nn.Sequential(*layers)
        self.norm = norm_factory(norm)(outputs)
        self.activation = activation_factory(activation)()
        self.logits = nn.Linear(outputs, classes)
        # Layers have many more inputs than outputs: with "fan_out" activations would grow from each to the next.
        initialize(self, activation, mode="fan_in")

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        out = self.activation(self.norm(self.layers(self.conv(x))))
        logits: Tensor = self.logits(out.mean(dim=(2, 3)))
        return logits


@NETWORKS.register("densenet100")
def densenet100(
    classes: int = 10, channels: int = 3, norm: str = "bn", width: int = 24, activation: str = "relu"
) -> DenseNet:
    """DenseNet-BC-100 for small images: three blocks of 16 layers, growth 12 at the default width of 24."""
    return DenseNet((16, 16, 16), width, classes, channels, norm, activation)


@NETWORKS.register("densenet121")
def densenet121(
    classes: int = 10, channels: int = 3, norm: str = "bn", width: int = 64, activation: str = "relu"
) -> DenseNet:
    """DenseNet-121 with a stem for small images, growth 32 at the default width of 64."""
    return DenseNet((6, 12, 24, 16), width, classes, channels, norm, activation)
