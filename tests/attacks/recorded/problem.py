"""A small network and images that are the same everywhere: made by NumPy from a seed, trained on nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from harness.attacks import Samples
from harness.core.threat import Norm

CLASSES = 10

EPSILONS: dict[Norm, float] = {"linf": 0.013, "l2": 0.12, "l1": 0.5}
"""Budgets at which about half of the images survive."""

COUNT = 24

QUERIES = 500
"""Of Square, a tenth of the usual number."""


class Network(nn.Module):
    """One convolution and one linear layer, in double precision inside."""

    def __init__(self) -> None:
        super().__init__()
        draws = np.random.default_rng(0)
        self.filters = torch.from_numpy(draws.normal(size=(12, 3, 3, 3)) / 3)
        self.weights = torch.from_numpy(draws.normal(size=(CLASSES, 12 * 16)) / 2)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.conv2d(images.double() - 0.5, self.filters, stride=2, padding=1).relu()
        return (features.flatten(1) @ self.weights.T).float()


def problem() -> tuple[nn.Module, Samples]:
    """The network, and images labelled as it sees them."""
    network = Network().eval()
    images = torch.from_numpy(np.random.default_rng(1).random((COUNT, 3, 8, 8))).float()
    return network, Samples(images, network(images).argmax(1), torch.arange(COUNT))
