"""Weights in files: read safely, unwrapped, and loaded strictly."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.core.errors import HarnessError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")
"""Keys under which training scripts put the state dict, in the order they are looked for."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What DataParallel, torch.compile and wrapping modules put before every key."""

SHOWN = 5
"""Keys shown per kind of mismatch."""


class StoredState(NamedTuple):
    """A state dict as a file held it."""

    tensors: dict[str, Tensor]
    """Parameters and buffers by name."""
    wrappers: tuple[str, ...] = ()
    """Keys of the file that were followed to reach the state dict."""
    left_out: tuple[str, ...] = ()
    """Keys of the file that stand beside the state dict, such as "optimizer"."""


def read_state(path: Path) -> StoredState:
    """The state dict in a `.safetensors` file or one of `torch.save`. No code of the file is run.

    Raises:
        HarnessError: when the file is missing, damaged, holds more than tensors, or no state dict.
    """
    if not path.is_file():
        raise HarnessError(f"there is no weights file {path}")
    if path.suffix == ".safetensors":
        try:
            return StoredState(load_file(path))
        except SafetensorError as error:
            raise HarnessError(f"{path} is no safetensors file, or a damaged one: {error}") from None
    return unwrap(_read_torch(path), path)


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        blocked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if blocked:
            raise HarnessError(
                f"{path} holds more than tensors ({blocked[1]}); reading it would run its code, which is refused.\n"
                "     where you trust it, save its state dict alone: torch.save(network.state_dict(), ...),\n"
                "     or write a factory that loads it and name that: python:your_module:your_factory"
            ) from None
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise HarnessError(f"{path} cannot be read as a file of torch.save: {reason}") from None


def unwrap(content: Any, path: Path) -> StoredState:
    """The state dict inside what a training script saved. Raises HarnessError when there is none."""
    wrappers: list[str] = []
    left_out: list[str] = []
    while not _is_state(content):
        keys = list(content) if isinstance(content, Mapping) else []
        wrapper = next((key for key in WRAPPERS if key in keys and isinstance(content[key], Mapping)), None)
        if wrapper is None:
            what = f"the keys {', '.join(map(str, keys[:SHOWN]))}" if keys else f"a {type(content).__name__}"
            raise HarnessError(
                f"{path} holds no state dict, but {what}.\n"
                f"     save network.state_dict() alone, or under one of: {', '.join(WRAPPERS)}"
            )
        wrappers.append(wrapper)
        left_out += [str(key) for key in keys if key != wrapper]
        content = content[wrapper]
    return StoredState(dict(content), tuple(wrappers), tuple(left_out))


def _is_state(content: Any) -> TypeGuard[Mapping[str, Tensor]]:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    )


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


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load every tensor into a network that has exactly these. Raises HarnessError naming the first differences."""
    own = network.state_dict()
    shapes = [
        f"{key} is {tuple(tensors[key].shape)} in the file, {tuple(own[key].shape)} in the network"
        for key in own
        if key in tensors and tensors[key].shape != own[key].shape
    ]
    missing = [key for key in own if key not in tensors]
    unexpected = [key for key in tensors if key not in own]
    if not shapes:
        # Not strict: torch forgives counters that old files lack, and says what it does not forgive.
        missing, unexpected = network.load_state_dict(dict(tensors), strict=False)
    problems = [
        *_some("shapes differ", shapes, "; "),
        *_some("the file lacks", missing),
        *_some("the network has no", unexpected),
    ]
    if problems:
        lines = "\n".join(f"     {problem}" for problem in problems)
        raise HarnessError(f"{where}: the weights do not fit the network.\n{lines}")


def _some(what: str, names: list[str], separator: str = ", ") -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{what}: {separator.join(names[:SHOWN])}{more}"]
