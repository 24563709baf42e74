"""The norm census: which normalization layers a network really has."""

from __future__ import annotations

import re
from typing import NamedTuple

from torch import nn

_FAMILIES: tuple[tuple[str, re.Pattern[str]], ...] = (
    # Searched in the class names of a layer and its ancestors, the nearest first, so that torch's SyncBatchNorm, timm's
    # BatchNormAct2d, LayerNorm2d and RmsNorm, and torchvision's FrozenBatchNorm2d are found too.
    ("bn", re.compile(r"BatchNorm|InplaceAbn|InPlaceABN")),
    ("in_", re.compile(r"InstanceNorm")),
    ("gn", re.compile(r"GroupNorm")),
    ("ln", re.compile(r"LayerNorm")),
    ("rn", re.compile(r"RobustNorm")),
    ("other", re.compile(r"R[Mm][Ss]Norm|ResponseNorm|EvoNorm|SimpleNorm|CrossMapLRN")),
)

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)


class NormCensus(NamedTuple):
    """Layer counts per family of normalization."""

    bn: int = 0
    gn: int = 0
    ln: int = 0
    in_: int = 0
    rn: int = 0
    other: int = 0

    @property
    def family(self) -> str:
        """The family of most layers: bn, gn, ln, in, rn (RobustNorm), other; none for a network without any."""
        counts = {name.rstrip("_"): count for name, count in self._asdict().items()}
        best = max(counts, key=lambda name: counts[name])
        return best if counts[best] else "none"


def take_census(network: nn.Module) -> NormCensus:
    """Count the normalization layers of a network by family.

    A block that is named after a norm (a `BatchNormReLU` around a `BatchNorm2d`, a `LayerNormFreeNet`) is not one:
    it holds a norm, a convolution or a linear layer. Normalization by functions or of weights does not show, nor does
    a layer whose class has none of the names.
    """
    families = {module: family for module in network.modules() if (family := _family_of(module)) is not None}
    counts = dict.fromkeys(NormCensus._fields, 0)
    for module, family in families.items():
        inside = [part for part in module.modules() if part is not module]
        if not any(part in families or isinstance(part, _WEIGHTED) for part in inside):
            counts[family] += 1
    return NormCensus(**counts)


def _family_of(module: nn.Module) -> str | None:
    for ancestor in type(module).__mro__:
        for family, pattern in _FAMILIES:
            if pattern.search(ancestor.__name__):
                return family
    return None
