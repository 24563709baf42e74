"""VGG networks for small images (Simonyan & Zisserman 2015), with one linear layer after the last pooling."""

from __future__ import annotations

from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.norms import convolution, norm_factory
from harness.models.networks.resnet import initialize

POOL = 0


class VGG(nn.Module):
    """3x3 convolutions in a row; `plan` lists the widths in units of `width`, with `POOL` for 2x2 max pooling."""

    def __init__(self, plan: tuple[int, ...], classes: int, channels: int, norm: str, width: int) -> None:
        """The classifier is a global average and one linear layer, so that any image size of at least 8 fits."""
        super().__init__()
        make_norm = norm_factory(norm)
        layers: list[nn.Module] = []
        inputs = channels
        for factor in plan:
            if factor == POOL:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            outputs = factor * width
            layers += [convolution(inputs, outputs, 3, 1, norm), make_norm(outputs), nn.ReLU()]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.logits = nn.Linear(inputs, classes)
        initialize(self, damp_residuals=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        logits: Tensor = self.logits(self.features(x).mean(dim=(2, 3)))
        return logits


@NETWORKS.register("vgg6")
def vgg6(classes: int = 10, channels: int = 3, norm: str = "bn", width: int = 16) -> VGG:
    """VGG with five convolutions, for images of 8 pixels and more."""
    return VGG((1, 1, POOL, 2, 2, POOL, 4), classes, channels, norm, width)


@NETWORKS.register("vgg11")
def vgg11(classes: int = 10, channels: int = 3, norm: str = "bn", width: int = 64) -> VGG:
    """VGG-11, for images of 32 pixels and more."""
    return VGG((1, POOL, 2, POOL, 4, 4, POOL, 8, 8, POOL, 8, 8, POOL), classes, channels, norm, width)
