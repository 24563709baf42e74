"""Weights in a file of yours, and the network that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from harness.core.errors import HarnessError
from harness.models import MODEL_SOURCES, from_timm, from_torchvision
from harness.models.card import file_sha256
from harness.models.classifier import Classifier, Provenance
from harness.models.construction import construct
from harness.models.networks import NETWORKS
from harness.models.weights import load_strictly, read_state, strip_prefixes

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
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    input_size: tuple[int, int] | None = None,
) -> Classifier:
    """file:PATH - a state dict (.pt, .pth, .safetensors) of `architecture` (resnet20, torchvision:MODEL or timm:MODEL).

    Without `mean` and `std` the network is given images in [0, 1] as they are.

    Raises:
        HarnessError: for an unknown architecture, a file that cannot be read safely, and weights that do not fit.
    """
    where = f"file:{name}"
    if architecture is None:
        raise HarnessError(
            f"{where}: a file of weights needs the network that they belong to.\n"
            f"     set architecture to one of {', '.join(NETWORKS.names())}, or to torchvision:MODEL or timm:MODEL"
        )
    path = Path(name).expanduser()
    stored = read_state(path)
    given = dict(arguments or {})
    network = network_of(architecture, given, where)
    tensors, prefixes = strip_prefixes(stored.tensors, network)
    load_strictly(network, tensors, f"{where} into {architecture}")
    details = {
        "weights_file": path.name,
        "weights_sha256": file_sha256(path),
        "architecture": architecture,
        "arguments": {**given, **from_torchvision.hidden_switches(network)},
        "unwrapped": list(stored.wrappers),
        "left_out": list(stored.left_out),
        "stripped_prefixes": list(prefixes),
    }
    return Classifier(network, Provenance(where, details=details), mean=mean, std=std, input_size=input_size)


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
