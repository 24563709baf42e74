"""VGG networks for small images (Simonyan & Zisserman 2015), with one linear layer after the last pooling."""

from __future__ import annotations

from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.activations import activation_factory
from harness.models.networks.convolutions import convolution, initialize
from harness.models.networks.norms import norm_factory
from harness.models.networks.padding import padded

POOL = 0

Plan = tuple[int, ...]


class VGG(nn.Module):
    """3x3 convolutions in a row; `plan` lists the widths in units of `width`, with `POOL` for 2x2 max pooling."""

    def __init__(self, plan: Plan, classes: int, channels: int, norm: str, width: int, activation: str) -> None:
        """The classifier is a global average and one linear layer, so that any image size fits."""
        super().__init__()
        make_norm, make_activation = norm_factory(norm), activation_factory(activation)
        layers: list[nn.Module] = []
        inputs = channels
        for factor in plan:
            if factor == POOL:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            outputs = factor * width
            layers += [convolution(inputs, outputs, 3, 1, norm), make_norm(outputs), make_activation()]
            inputs = outputs
        self.reduction = 2 ** plan.count(POOL)
        self.features = nn.Sequential(*layers)
        self.logits = nn.Linear(inputs, classes)
        initialize(self, activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to logits (N, classes)."""
        features = self.features(padded(x, self.reduction))
        logits: Tensor = self.logits(features.mean(dim=(2, 3)))
        return logits


def _register(name: str, summary: str, plan: Plan, first_stage: int) -> None:
    def vgg(
        classes: int = 10, channels: int = 3, norm: str = "bn", width: int = first_stage, activation: str = "relu"
    ) -> VGG:
        return VGG(plan, classes, channels, norm, width, activation)

    vgg.__doc__ = summary
    NETWORKS.add(name, vgg)


def _five_stages(*convolutions: int) -> Plan:
    """A plan of five stages, given the number of convolutions in each."""
    factors = zip((1, 2, 4, 8, 8), convolutions, strict=True)
    return tuple(entry for factor, count in factors for entry in (*(factor,) * count, POOL))


_register("vgg6", "VGG with five convolutions, for images of 8 pixels and more.", (1, 1, POOL, 2, 2, POOL, 4), 16)
_register("vgg11", "VGG-11 for small images, with one linear layer.", _five_stages(1, 1, 2, 2, 2), 64)
_register("vgg13", "VGG-13 for small images, with one linear layer.", _five_stages(2, 2, 2, 2, 2), 64)
_register("vgg16", "VGG-16 for small images, with one linear layer.", _five_stages(2, 2, 3, 3, 3), 64)
_register("vgg19", "VGG-19 for small images, with one linear layer.", _five_stages(2, 2, 4, 4, 4), 64)
