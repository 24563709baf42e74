"""The shape of residual networks: stages of blocks, each with half the pixels and twice the channels of the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from harness.models.networks.activations import activation_factory

EXPANSION = 4
"""Output channels of a bottleneck per channel of its stage."""


class BlockShape(NamedTuple):
    """Channels and stride of a residual block."""

    inputs: int
    """Channels that come in."""
    inner: int
    """Channels between its convolutions."""
    outputs: int
    """Channels that go out."""
    stride: int
    """Of its first 3x3 convolution and of its shortcut."""
    groups: int = 1
    """Groups of its 3x3 convolution, in a bottleneck."""

    @property
    def is_projected(self) -> bool:
        """Whether the shortcut needs a 1x1 convolution."""
        return self.stride != 1 or self.inputs != self.outputs


@dataclass(frozen=True)
class Stages:
    """How many blocks, and of which kind."""

    blocks: tuple[int, ...]
    """Blocks in each stage."""
    bottleneck: bool = False
    """Whether a block is 1x1, 3x3, 1x1 with four times the channels at its ends, or 3x3, 3x3."""
    groups: int = 1
    """Groups of the 3x3 convolutions; each has as many channels as an ungrouped one would have."""

    def shapes(self, inputs: int, width: int) -> Iterator[BlockShape]:
        """Every block in order, after a stem of `inputs` channels; the first stage has `width`."""
        for stage, blocks in enumerate(self.blocks):
            channels = width * 2**stage
            outputs = channels * (EXPANSION if self.bottleneck else 1)
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                yield BlockShape(inputs, channels * self.groups, outputs, stride, self.groups)
                inputs = outputs


@dataclass(frozen=True)
class Style:
    """What all blocks of a network share."""

    norm: str
    """Normalization layer by name."""
    activation: str
    """Activation function by name."""
    shortcut: bool
    """Whether blocks add their input."""
    stem: Literal["small", "large"] = "small"
    """For which images the network begins."""

    def make_activation(self) -> Callable[[Tensor], Tensor]:
        """The activation of a block: a layer, or a mere function in the case of ReLU.

        A ReLU does not show in a network's listing, which is part of the fingerprint; all others do.
        """
        return F.relu if self.activation == "relu" else activation_factory(self.activation)()
