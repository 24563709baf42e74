"""What the state of a network consists of, byte by byte: fingerprints are made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from harness.core.errors import HarnessError

PLAIN = (bool, int, float, str, type(None))
"""Types of attributes that are settings."""


def check_contents(network: nn.Module, where: str) -> None:
    """Raise HarnessError for parameters or buffers without values."""
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if is_lazy(tensor):
            raise HarnessError(
                f"{where}: {name} has no shape yet (a lazy layer).\n     pass a batch of images through it first"
            )
        if tensor.is_meta:
            raise HarnessError(
                f"{where}: {name} has no values (it is on the meta device).\n     load its weights first"
            )


def contents(name: str, value: Any) -> Iterator[bytes]:
    """An entry of a state dict in bytes: tensors, and what modules keep beside them (`get_extra_state`)."""
    if isinstance(value, Tensor):
        yield from _of_tensor(name, value.detach().cpu())
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
    """sha256 over the settings that its modules keep as plain attributes, and the buffers that no state dict holds.

    Neither a network's listing nor its state shows them: a temperature, a number of levels, a strength of noise.
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        for key, value in sorted(vars(module).items()):
            if not key.startswith("_") and key != "training" and _is_plain(value):
                digest.update(f"{name}.{key}={value!r}\n".encode())
        for key in sorted(module._non_persistent_buffers_set):
            if (buffer := getattr(module, key, None)) is not None:
                for part in contents(f"{name}.{key}", buffer):
                    digest.update(part)
    return digest.hexdigest()


def _is_plain(value: object) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple | list) and all(_is_plain(part) for part in value))
