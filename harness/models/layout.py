"""In which memory layout a network runs fastest, and runs at all."""

from __future__ import annotations

import torch
from torch import nn

SAFE_INPUTS = 8
"""Inputs from which a strided 1x1 convolution may be laid out channels-last on CPUs."""


def layout_of(network: nn.Module, device: torch.device | str) -> torch.memory_format:
    """Channels-last, in which convolutions run faster; contiguous for networks that CPUs run faster or only there.

    On CPUs, group and instance norms take several times longer in channels-last memory, and more than convolutions
    gain; a group norm over all channels at once does not.
    """
    if torch.device(device).type == "cpu" and any(_prefers_contiguous(module) for module in network.modules()):
        return torch.contiguous_format
    return torch.channels_last


def _prefers_contiguous(module: nn.Module) -> bool:
    if isinstance(module, nn.GroupNorm):
        return module.num_groups > 1
    if isinstance(module, nn.Conv2d):
        return _corrupts_memory(module)
    return isinstance(module, nn.InstanceNorm2d)


def _corrupts_memory(layer: nn.Conv2d) -> bool:
    """Whether a convolution's backward pass writes beyond its memory on CPUs when it is laid out channels-last.

    Those of `Conv2d(C, 2 * C, 1, stride=2)` do with 2 to 6 inputs, on images of 8x8: torch 2.15 ends with
    "corrupted double-linked list" or a segmentation fault within 60 of them. With 1, 7 and 8 inputs none did.
    """
    strided = max(layer.stride) > 1 and tuple(layer.kernel_size) == (1, 1)
    return strided and layer.in_channels < SAFE_INPUTS
