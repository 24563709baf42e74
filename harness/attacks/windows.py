"""Square windows at random places, one per sample, whose sides halve in area from level to level."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

LEVELS = 10
"""The share of an image's pixels in a window is halved from level to level."""


def sides_of(share: float, height: int, width: int, smallest: int, odd: bool) -> tuple[int, ...]:
    """The side of a window at every level, where level 0 covers a share of the image."""
    sides = [max(round(sqrt(share / 2**level * height * width)), smallest) for level in range(LEVELS)]
    return tuple(min(side + (odd and side % 2 == 0), height, width) for side in sides)


@dataclass(frozen=True)
class Windows:
    """Square windows of different sizes, each in a frame of the largest one's size that lies inside the image."""

    pixels: Tensor
    """(B, 1, S * S) flat places of the frames' pixels in the image."""
    inside: Tensor
    """(B, 1, S * S) which of them belong to the window."""
    rows: Tensor
    """(B, S) rows of the window, counted from its own corner, where inside."""
    columns: Tensor
    """(B, S) the same of columns."""

    @classmethod
    def at(cls, chances: Tensor, sides: Tensor, height: int, width: int) -> Windows:
        """Windows at random places: chances (B, 2) in [0, 1), sides (B,)."""
        largest = int(sides.max())
        span, extent = (torch.arange(largest, device=sides.device), torch.tensor([height, width], device=sides.device))
        corners = (chances * (extent - sides[:, None] + 1)).long()
        origins = corners.minimum(extent - largest)
        offsets = span - (corners - origins)[:, :, None]
        within = (offsets >= 0) & (offsets < sides[:, None, None])
        offsets = torch.where(within, offsets, 0)
        lines = origins[:, :, None] + span
        pixels = lines[:, 0, :, None] * width + lines[:, 1, None, :]
        inside = within[:, 0, :, None] & within[:, 1, None, :]
        return cls(pixels.flatten(1)[:, None], inside.flatten(1)[:, None], offsets[:, 0], offsets[:, 1])

    def read(self, images: Tensor) -> Tensor:
        """(B, C, S * S) what stands in the frames."""
        return images.flatten(2).gather(2, self.pixels.expand(-1, images.shape[1], -1))

    def write(self, images: Tensor, values: Tensor) -> None:
        """Replace what stands in the windows, in place."""
        values = torch.where(self.inside, values, self.read(images))
        images.view(*images.shape[:2], -1).scatter_(2, self.pixels.expand(-1, images.shape[1], -1), values)
