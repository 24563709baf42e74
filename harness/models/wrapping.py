"""The tensors of a network among those of the modules that it was wrapped in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What DataParallel, torch.compile and wrapping modules put before every key."""

COUNTER = "n_averaged"
"""What torch's `AveragedModel` counts beside the network."""


class Standardization(NamedTuple):
    """What a wrapping module subtracts from images, and divides them by."""

    mean: tuple[float, ...]
    """Per channel, or one number for all."""
    std: tuple[float, ...]
    """The same."""


class Unwrapped(NamedTuple):
    """Tensors under the names that the network gives them."""

    tensors: dict[str, Tensor]
    """Those of the network, and those that cannot be explained, under the names that they have in the file."""
    prefixes: tuple[str, ...] = ()
    """What was taken off the names."""
    standardization: Standardization | None = None
    """That of the wrapping module, where the file holds it."""
    dropped: tuple[str, ...] = ()
    """Parts of the wrapping module that hold nothing else: copies of the network's tensors, its standardization, and
    how often it was averaged."""


def unwrap_tensors(tensors: Mapping[str, Tensor], network: nn.Module) -> Unwrapped:
    """Find a network's tensors where every one has a prefix, or where they lie beside others of a wrapping module.

    A module that standardizes images before the network, or attacks it, saves more than the network: twice the same
    tensors under different names, and pairs `...mean` and `...std`. These are dropped, the standardization is told.
    Whatever else lies beside the network stays, so that loading refuses it.
    """
    current, prefixes = strip_prefixes(tensors, network)
    own = network.state_dict()
    counter = (COUNTER,) if COUNTER in current and COUNTER not in own and current[COUNTER].numel() == 1 else ()
    if counter:
        del current[COUNTER]
        current, more = strip_prefixes(current, network)
        prefixes += more
    inner = next((prefix for prefix in PREFIXES if any(prefix + key in current for key in own)), None)
    if inner is None or any(key in own for key in current):
        return Unwrapped(current, prefixes, dropped=counter)
    inside = {key.removeprefix(inner): tensor for key, tensor in current.items() if key.startswith(inner)}
    beside = {key: tensor for key, tensor in current.items() if not key.startswith(inner)}
    copies = {key for key, tensor in beside.items() if _is_copy(key, tensor, inside)}
    standardization, statistics = _standardization(beside)
    dropped = copies | statistics
    rest = {key: tensor for key, tensor in beside.items() if key not in dropped}
    parts = tuple(sorted({key.partition(".")[0] for key in dropped}.union(counter)))
    return Unwrapped({**inside, **rest}, (*prefixes, inner), standardization, parts)


def strip_prefixes(tensors: Mapping[str, Tensor], network: nn.Module) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Take off prefixes that every key has and the network's own keys have not; also says which."""
    own = list(network.state_dict())
    stripped: list[str] = []
    current = dict(tensors)
    while True:
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in current)), None)
        if prefix is None or all(key.startswith(prefix) for key in own):
            return current, tuple(stripped)
        current = {key.removeprefix(prefix): tensor for key, tensor in current.items()}
        stripped.append(prefix)


def _is_copy(key: str, tensor: Tensor, inside: Mapping[str, Tensor]) -> bool:
    """Whether the network has the same tensor under the end of the name."""
    while key:
        key = key.partition(".")[2]
        if key in inside:
            return torch.equal(tensor, inside[key])
    return False


def _standardization(tensors: Mapping[str, Tensor]) -> tuple[Standardization | None, set[str]]:
    """The only mean and std that these tensors tell, once or several times, and their names."""
    found: set[Standardization] = set()
    names: set[str] = set()
    for name, mean in tensors.items():
        partner = name.removesuffix("mean") + "std"
        if name.endswith("mean") and partner in tensors:
            found.add(Standardization(tuple(mean.flatten().tolist()), tuple(tensors[partner].flatten().tolist())))
            names |= {name, partner}
    return (next(iter(found)), names) if len(found) == 1 else (None, set())
