"""The norm census: which normalization layers a network really has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn

FAMILIES: tuple[tuple[str, re.Pattern[str]], ...] = (
    # Searched in the class names of a layer and its ancestors, the nearest first, so that torch's SyncBatchNorm, timm's
    # BatchNormAct2d and LayerNorm2d, and torchvision's FrozenBatchNorm2d are found too.
    ("bn", re.compile(r"BatchNorm|InplaceAbn|InPlaceABN")),
    ("in", re.compile(r"InstanceNorm")),
    ("gn", re.compile(r"GroupNorm")),
    ("ln", re.compile(r"LayerNorm")),
    ("rn", re.compile(r"RobustNorm")),
)

_OTHER = re.compile(r"(?<!Weight)(?<!Spectral)Norm(?!ali)|CrossMapLRN")
"""Any other norm, a kind of its own; "Normalize" prepares images, and norms of weights are none of activations."""

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)

_WEIGHTED_NAME = re.compile(r"(Linear|Conv(Transpose)?[123]d)$")
"""In TorchScript, every module has the same class."""


class NormCensus(NamedTuple):
    """Layer counts per family of normalization."""

    bn: int = 0
    gn: int = 0
    ln: int = 0
    in_: int = 0
    rn: int = 0
    others: tuple[tuple[str, int], ...] = ()
    """Other kinds by name, which is what a layer says (`norm_family`) or that of its class."""

    @property
    def layers(self) -> dict[str, int]:
        """How many layers there are of each family that the network has."""
        known = {name.rstrip("_"): getattr(self, name) for name in self._fields if name != "others"}
        return {family: count for family, count in (known | dict(self.others)).items() if count}

    @property
    def family(self) -> str:
        """The family of most layers: bn, gn, ln, in, rn (RobustNorm) or another kind; none for a network without."""
        layers = self.layers
        return max(layers, key=lambda family: layers[family], default="none")


def take_census(network: nn.Module) -> NormCensus:
    """Count the normalization layers of a network by family.

    A layer's attribute `norm_family` says what it is; every norm that our networks take by name has it. Else its class
    name does. A block that is named after a norm (a `BatchNormReLU` around a `BatchNorm2d`, a `LayerNormFreeNet`) is
    not one: it holds a norm, a convolution or a linear layer. Normalization by functions or of weights does not show,
    nor does a layer that has no such attribute and whose class has no such name.
    """
    families = {module: family for module in network.modules() if (family := _family_of(module)) is not None}
    declared = {module for module in families if _declared(module)}
    inner = {part for module in declared for part in _inside(module)}
    counts = Counter(
        family
        for module, family in families.items()
        if module not in inner
        and (module in declared or not any(part in families or _is_weighted(part) for part in _inside(module)))
    )
    known = {f"{family}_" if family == "in" else family: counts.pop(family, 0) for family, _ in FAMILIES}
    counts.pop("none", None)
    return NormCensus(**known, others=tuple(counts.items()))


def _inside(module: nn.Module) -> Iterator[nn.Module]:
    return (part for part in module.modules() if part is not module)


def _declared(module: nn.Module) -> str | None:
    family = getattr(module, "norm_family", None)
    return family if isinstance(family, str) else None


def _family_of(module: nn.Module) -> str | None:
    if family := _declared(module):
        return family
    if _is_weighted(module):
        # Whatever its name says is about its weights or inputs, such as NormedLinear, a head of cosines.
        return None
    for name in _class_names(module):
        for family, pattern in FAMILIES:
            if pattern.search(name):
                return family
        if _OTHER.search(name):
            return name
    return None


def _class_names(module: nn.Module) -> list[str]:
    """Names of a module's class and its ancestors, the nearest first; of a scripted one, that of its class before."""
    if isinstance(module, torch.jit.ScriptModule):
        return [str(module.original_name)]
    return [ancestor.__name__ for ancestor in type(module).__mro__]


def _is_weighted(module: nn.Module) -> bool:
    return isinstance(module, _WEIGHTED) or _WEIGHTED_NAME.match(_class_names(module)[0]) is not None
