"""Twins: networks of torchvision and timm that are the same with BatchNorm and without, found by the norm census."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from harness.core.libraries import library
from harness.models import from_timm, from_torchvision
from harness.models.census import NormCensus, take_census

NORM_WORDS = frozenset({"bn", "gn", "ln", "in", "nf", "evos", "frn", "rms"})
"""Parts of names that tell networks apart by their normalization alone; nf stands for normalizer-free."""

Layers = frozenset[tuple[tuple[int, int], int]]
"""Outputs and inputs of convolutions and linear layers, each with the number of layers that have them."""


class Twin(NamedTuple):
    """A network of which the same exists with another normalization."""

    group: str
    """The name that all of them have but for norm words, such as "resnet50"."""
    id: str
    """Source and architecture, such as "timm:resnet50_gn"."""
    census: NormCensus
    """Its normalization layers."""
    parameters: int
    """How many numbers it learned."""
    weights: tuple[str, ...]
    """Ids of its pretrained weights."""


def architectures() -> list[str]:
    """Every classifier of torchvision and timm, as source and name."""
    models = library("torchvision.models")
    return [
        *(f"torchvision:{name}" for name in models.list_models(module=models)),
        *(f"timm:{name}" for name in library("timm").list_models()),
    ]


def find_twins(ids: Iterable[str] | None = None) -> list[Twin]:
    """Groups of networks of which some have BatchNorm and some do not, by group.

    Only networks whose names differ in norm words alone are built, on the meta device, without weights or memory.
    They are twins if their convolutions and linear layers are of the same sizes.

    Args:
        ids: where to look; by default all of torchvision and timm.
    """
    return [
        twin for group, members in _alike(architectures() if ids is None else ids) for twin in _twins(group, members)
    ]


def without_norm(name: str) -> str:
    """An architecture's name without its norm words: "resnet50" for "nf_resnet50"."""
    return "_".join(word for word in name.split("_") if word not in NORM_WORDS)


def _alike(ids: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Architectures that are called the same but for norm words, where there are several names."""
    groups: dict[str, list[str]] = defaultdict(list)
    for id in ids:
        groups[without_norm(id.partition(":")[2])].append(id)
    for group, members in sorted(groups.items()):
        if len({member.partition(":")[2] for member in members}) > 1:
            yield group, members


def _twins(group: str, members: list[str]) -> Iterator[Twin]:
    alike: dict[Layers, list[Twin]] = defaultdict(list)
    for id in members:
        network = _on_meta(id)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        alike[_layers(network)].append(Twin(group, id, take_census(network), parameters, _weights(id)))
    for twins in alike.values():
        families = {twin.census.family for twin in twins}
        if "bn" in families and len(families) > 1:
            yield from twins


def _layers(network: nn.Module) -> Layers:
    """Sizes of the layers that hold most weights: a convolution over a whole map counts as the linear layer it is."""
    weights = [part.weight for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    return frozenset(Counter((len(weight), weight.numel() // len(weight)) for weight in weights).items())


def _source(id: str) -> tuple[Any, str]:
    source, _, architecture = id.partition(":")
    return {"timm": from_timm, "torchvision": from_torchvision}[source], architecture


def _on_meta(id: str) -> nn.Module:
    source, architecture = _source(id)
    with torch.device("meta"):
        network: nn.Module = source.untrained(architecture, {}, id)
    return network


def _weights(id: str) -> tuple[str, ...]:
    source, architecture = _source(id)
    return tuple(source.trained_ids(architecture))
