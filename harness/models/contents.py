"""What the state of a network consists of, byte by byte: fingerprints are made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from harness.core.errors import HarnessError

PLAIN = (bool, int, float, str, type(None))
"""Types of attributes that are settings."""

OWN = frozenset(vars(nn.Module()))
"""Attributes with which torch itself keeps a module."""


def check_contents(network: nn.Module, where: str) -> None:
    """Raise HarnessError for parameters or buffers without values, and for networks that torch cannot find."""
    registered = set(network.modules())
    for name, module in network.named_modules():
        for key, value in vars(module).items():
            hidden = (part for part in _parts(value) if isinstance(part, nn.Module) and part not in registered)
            if key not in OWN and any(_has_state(part) for part in hidden):
                raise HarnessError(
                    f"{where}: {f'{name}.{key}'.lstrip('.')} holds networks in a plain {type(value).__name__}, where "
                    "torch cannot find them: they\n     would stay on the CPU and in training mode. "
                    "keep them in nn.ModuleList or nn.ModuleDict"
                )
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if is_lazy(tensor):
            raise HarnessError(
                f"{where}: {name} has no shape yet (a lazy layer).\n     pass a batch of images through it first"
            )
        if tensor.is_meta:
            raise HarnessError(
                f"{where}: {name} has no values (it is on the meta device).\n     load its weights first"
            )


def _has_state(module: nn.Module) -> bool:
    return any(True for _ in chain(module.parameters(), module.buffers()))


def contents(name: str, value: Any) -> Iterator[bytes]:
    """An entry of a state dict in bytes: tensors, and what modules keep beside them (`get_extra_state`)."""
    if isinstance(value, Tensor):
        yield from _of_tensor(name, value.detach().cpu())
    elif isinstance(value, np.ndarray):
        yield f"{name}{value.dtype}{value.shape}".encode()
        yield value.tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from contents(f"{name}.{key}", value[key])
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for position, part in enumerate(value):
            yield from contents(f"{name}.{position}", part)
    else:
        yield f"{name}{value!r}".encode()


def _of_tensor(name: str, tensor: Tensor) -> Iterator[bytes]:
    if tensor.is_quantized:
        yield f"{name}{tensor.dtype}{tensor.qscheme()}".encode()
        tensor = tensor.dequantize()
    array = tensor.to_dense().contiguous() if tensor.layout is not torch.strided else tensor.contiguous()
    yield f"{name}{array.dtype}{tuple(array.shape)}".encode()
    yield array.view(torch.uint8).numpy().tobytes() if array.ndim else str(array.item()).encode()


def attributes_sha256(network: nn.Module) -> str:
    """sha256 over what its modules keep as plain attributes, and the buffers that no state dict holds.

    Neither a network's listing nor its state shows them: a temperature, a number of levels, a table of prototypes.
    Private attributes count where they hold tensors or arrays; weights that a layer makes of its parameters do not.
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        for key, value in sorted(vars(module).items()):
            if not key.startswith("_") and key != "training" and _is_plain(value):
                digest.update(f"{name}.{key}={value!r}\n".encode())
            elif key not in OWN and _counts(key, value) and not _is_derived(key, module):
                for part in contents(f"{name}.{key}", value):
                    digest.update(part)
        for key in sorted(module._non_persistent_buffers_set):
            if (buffer := getattr(module, key, None)) is not None:
                for part in contents(f"{name}.{key}", buffer):
                    digest.update(part)
    return digest.hexdigest()


def _is_plain(value: object) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple | list) and all(_is_plain(part) for part in value))


def _counts(key: str, value: object) -> bool:
    """Whether an attribute is data: an array, or a container of arrays and settings."""
    parts = list(_parts(value))
    arrays = [_is_array(part) for part in parts]
    known = all(array or isinstance(part, PLAIN) for array, part in zip(arrays, parts, strict=True))
    return known and (any(arrays) or (isinstance(value, Mapping) and not key.startswith("_")))


def _parts(value: object) -> Iterator[object]:
    """What stands in lists, tuples and dicts, one in the other; anything else is a part itself."""
    if isinstance(value, Mapping):
        yield from _parts(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part)
    else:
        yield value


def _is_array(value: object) -> bool:
    return (isinstance(value, Tensor) and not value.is_meta) or (
        isinstance(value, np.ndarray) and not value.dtype.hasobject
    )


def _is_derived(key: str, module: nn.Module) -> bool:
    """Whether a layer makes a tensor of its parameters: the weight of weight_g and weight_v, or of weight_orig."""
    return any(name.startswith(f"{key}_") for name, _ in module.named_parameters(recurse=False))
