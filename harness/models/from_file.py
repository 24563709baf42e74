"""Weights in a file of yours or of somebody's, and the network that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry
from harness.models import MODEL_SOURCES, from_timm, from_torchvision
from harness.models.card import file_sha256
from harness.models.classifier import Classifier, Provenance
from harness.models.construction import construct
from harness.models.locations import locate
from harness.models.networks import NETWORKS
from harness.models.weights import load_strictly, read_state
from harness.models.wrapping import Standardization, Unwrapped, unwrap_tensors

LIBRARIES: dict[str, Callable[[str, Mapping[str, Any], str], nn.Module]] = {
    "torchvision": from_torchvision.untrained,
    "timm": from_timm.untrained,
}
"""Where architectures with a colon come from."""


@MODEL_SOURCES.register("file")
def from_file(
    name: str,
    *,
    architecture: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    input_size: tuple[int, int] | None = None,
) -> Classifier:
    """file:PATH - a state dict (.pt, .pth, .safetensors) of `architecture` (resnet20, torchvision:MODEL or timm:MODEL).

    The file may also be https://HOST/FILE or hf://USER/REPOSITORY/FILE; #sha256=HASH after it says which it must be.
    Without `mean` and `std` the network is given images as the file says, where it holds a standardization, or else
    in [0, 1] as they are.

    Raises:
        HarnessError: for an unknown architecture, a file that cannot be had or read safely, and weights or a
            standardization that do not fit.
    """
    where = f"file:{name}"
    if architecture is None:
        raise HarnessError(
            f"{where}: a file of weights needs the network that they belong to.\n"
            f"     set architecture to one of {', '.join(NETWORKS.names())}, or to torchvision:MODEL or timm:MODEL"
        )
    file = locate(name, where)
    stored = read_state(file.path)
    given = dict(arguments or {})
    network = network_of(architecture, given, where)
    unwrapped = unwrap_tensors(stored.tensors, network)
    load_strictly(network, unwrapped.tensors, f"{where} into {architecture}")
    standardization = _standardization(unwrapped, mean, std, where)
    details = {
        "weights_file": file.label,
        "weights_sha256": file_sha256(file.path),
        "architecture": architecture,
        "arguments": {**given, **from_torchvision.hidden_switches(network)},
        "unwrapped": list(stored.wrappers),
        "left_out": [*stored.left_out, *unwrapped.dropped],
        "stripped_prefixes": list(unwrapped.prefixes),
    }
    return Classifier(
        network, Provenance(where, details=details), **standardization._asdict(),
        input_size=input_size, geometry=geometry_of(network, architecture, given),
    )  # fmt: skip


def _standardization(
    unwrapped: Unwrapped, mean: tuple[float, ...] | None, std: tuple[float, ...] | None, where: str
) -> Standardization:
    """The one that is given, or that of the file. Raises HarnessError when they are not the same."""
    given = Standardization(mean or (0.0,), std or (1.0,))
    if unwrapped.standardization is None:
        return given
    same = all(
        len(ours) in (1, len(theirs)) and torch.allclose(torch.tensor(ours), torch.tensor(theirs), atol=1e-4)
        for ours, theirs in zip(given, unwrapped.standardization, strict=True)
    )
    if mean is not None and not same:
        told = "\n".join(f"     {key} = {list(v)}" for key, v in unwrapped.standardization._asdict().items())
        raise HarnessError(f"{where}: the file holds another standardization; leave mean and std out, or write\n{told}")
    return unwrapped.standardization


def geometry_of(network: nn.Module, architecture: str, arguments: Mapping[str, Any]) -> Geometry | None:
    """How image files become inputs of a library's network; files of weights do not tell."""
    prefix, _, name = architecture.partition(":")
    if prefix == "torchvision":
        return from_torchvision.untrained_geometry(name, arguments)
    return from_timm.geometry_of(network, arguments) if prefix == "timm" else None


def network_of(architecture: str, arguments: Mapping[str, Any], where: str) -> nn.Module:
    """An untrained network by name, ours or a library's. Raises HarnessError for an unknown one."""
    prefix, colon, name = architecture.partition(":")
    if not colon:
        return construct(NETWORKS.get(architecture), arguments, where)
    if prefix not in LIBRARIES:
        raise HarnessError(
            f'{where}: architecture "{architecture}" is of no known library.\n'
            f"     write one of {', '.join(NETWORKS.names())}, or {', '.join(f'{known}:MODEL' for known in LIBRARIES)}"
        )
    bare = name.partition("@")[0].partition(".")[0]
    if bare != name:
        raise HarnessError(
            f'{where}: the weights come from the file, so that architecture "{architecture}" must name none.\n'
            f"     write {prefix}:{bare}"
        )
    return LIBRARIES[prefix](name, arguments, where)
