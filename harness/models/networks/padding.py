"""Padding of images that a network's poolings do not divide."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def padded(images: Tensor, multiple: int) -> Tensor:
    """(N, C, H, W) with zeros on all sides, up to the next multiple of a number: 28 pixels become 32."""
    vertical, horizontal = -images.shape[2] % multiple, -images.shape[3] % multiple
    top, left = vertical // 2, horizontal // 2
    return F.pad(images, (left, horizontal - left, top, vertical - top))
