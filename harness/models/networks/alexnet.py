"""AlexNet for small images: five convolutions (Krizhevsky et al. 2012) and one linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.activations import activation_factory
from harness.models.networks.convolutions import convolution, initialize
from harness.models.networks.norms import norm_factory
from harness.models.networks.padding import padded

REDUCTION = 32
"""Pixels of the image, along each side, per pixel of the last feature maps."""


class AlexNet(nn.Module):
    """The convolutions of AlexNet, the first with stride 4, and three 2x2 max poolings."""

    def __init__(self, classes: int, channels: int, norm: str, width: int, activation: str) -> None:
        """`width` is the number of channels after the first convolution; the original has no norm."""
        super().__init__()
        make_norm, make_activation = norm_factory(norm), activation_factory(activation)

        def layer(inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> list[nn.Module]:
            conv = convolution(inputs, outputs, kernel_size, stride, norm)
            return [conv, make_norm(outputs), make_activation()]

        self.features = nn.Sequential(
            *layer(channels, width, 11, stride=4),
            nn.MaxPool2d(2, 2),
            *layer(width, 3 * width, 5),
            nn.MaxPool2d(2, 2),
            *layer(3 * width, 6 * width, 3),
            *layer(6 * width, 4 * width, 3),
            *layer(4 * width, 4 * width, 3),
            nn.MaxPool2d(2, 2),
        )
        self.logits = nn.Linear(4 * width, classes)
        initialize(self, activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        features = self.features(padded(x, REDUCTION))
        logits: Tensor = self.logits(features.mean(dim=(2, 3)))
        return logits


@NETWORKS.register("alexnet")
def alexnet(
    classes: int = 10, channels: int = 3, norm: str = "bn", width: int = 64, activation: str = "relu"
) -> AlexNet:
    """AlexNet for small images, with one linear layer."""
    return AlexNet(classes, channels, norm, width, activation)
