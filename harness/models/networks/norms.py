"""Normalization layers by name. Every factory takes the channel count first, so that they can be swapped.

To add one, put its factory into `NORMS`: networks take it by its name, and reports call it so.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from harness.core.errors import HarnessError, did_you_mean
from harness.models.networks.convolutions import WEIGHT_STANDARDIZED
from harness.models.networks.robust_norm import RobustNorm2d

NormFactory = Callable[[int], nn.Module]


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Instance normalization (Ulyanov et al. 2016): each channel of each sample, with a learned scale and shift."""
    return nn.InstanceNorm2d(channels, affine=True)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalization (Wu & He 2018) with min(32, channels / 2) groups: none shrinks to a single channel.

    Where that number does not divide the channels, the next smaller one that does.
    """
    most = max(1, min(32, channels // 2))
    return nn.GroupNorm(next(groups for groups in range(most, 0, -1) if channels % groups == 0), channels)


class LayerNorm2d(nn.GroupNorm):
    """Layer normalization (Ba et al. 2016): each sample over channels and positions, scale and shift per channel."""

    def __init__(self, channels: int) -> None:
        """`channels` of the feature maps (N, C, H, W)."""
        super().__init__(1, channels)


NORMS: dict[str, NormFactory] = {
    "none": lambda channels: nn.Identity(),
    "bn": nn.BatchNorm2d,
    "in": instance_norm,
    "ln": LayerNorm2d,
    "gn": group_norm,
    WEIGHT_STANDARDIZED: group_norm,
    "rn": RobustNorm2d,
}

FAMILIES = {WEIGHT_STANDARDIZED: "gn"}
"""What the layers under a name are called where it says more than that; default the name."""


def norm_factory(name: str) -> NormFactory:
    """The layer factory under a name; its layers say what they are. Raises HarnessError for an unknown one."""
    if name == "fixup":
        raise HarnessError('norm "fixup" is an initialization of ResNets and ResNeXts; this network has none.')
    if name not in NORMS:
        raise HarnessError(f'norm "{name}" is unknown.\n     {did_you_mean(name, NORMS)}')

    def make(channels: int) -> nn.Module:
        layer = NORMS[name](channels)
        # For the norm census, which cannot know from its class what a new layer is.
        layer.norm_family = FAMILIES.get(name, name)  # type: ignore[assignment]
        return layer

    return make
