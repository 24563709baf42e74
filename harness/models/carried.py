"""Images made for one model, shown to another that takes a different size."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.classifier import Classifier

POLICY = "bilinear, antialiased"
"""How images are scaled; part of the question."""


class Carry(nn.Module):
    """Scales images."""

    def __init__(self, height: int, width: int) -> None:
        """To this size."""
        super().__init__()
        self.size = (height, width)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, height, width); what lies in [0, 1] stays there."""
        return F.interpolate(images, self.size, mode="bilinear", antialias=True).clamp(0, 1)

    def extra_repr(self) -> str:
        """The size."""
        return f"{self.size[0]}x{self.size[1]}"


def carried(model: Classifier, height: int, width: int) -> Classifier:
    """A model that scales what it is given to its own input size first. The model itself is used, not a copy."""
    return Classifier(nn.Sequential(Carry(height, width), model), model.provenance)
