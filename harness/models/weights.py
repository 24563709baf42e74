"""Weights in files: read safely, unwrapped, and loaded strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.core.errors import HarnessError
from harness.models.inert import Placeholder, read_inertly

AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Keys under which timm, torchvision's references and others put weights averaged over training, which they report the
accuracy of."""

WRAPPERS = (*AVERAGED, "state_dict", "model_state_dict", "model", "net", "network")
"""Keys under which training scripts put the state dict, in the order they are looked for."""

SHOWN = 5
"""Keys shown per kind of mismatch."""

_OBJECTS = (
    "\n     it holds objects whose code would have to run, which is refused; where you trust it,"
    "\n     save its state dict alone, or write a factory that loads it: python:your_module:your_factory"
)
"""What to do about a file that holds more than weights."""


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

    Objects that are neither tensors nor plain values are left out unread.

    Raises:
        HarnessError: when the file is missing, damaged, or holds no state dict.
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
        return read_inertly(path)
    except Exception as error:  # noqa: BLE001 - a damaged or hostile file can make torch's reader raise anything
        text = str(error)
        blocked = re.search(r"GLOBAL (\S+) whose module \S+ is blocked", text)
        if blocked:
            raise HarnessError(f"{path} asks for {blocked[1]}, which no weights need; it is refused") from None
        if "TorchScript" in text:
            raise HarnessError(
                f"{path} is a TorchScript archive, which brings its own network.\n"
                "     write a factory that returns torch.jit.load(...): python:your_module:your_factory"
            ) from None
        reason = text.rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0] or type(error).__name__
        way_out = _OBJECTS if isinstance(error, UnpicklingError) else ""
        raise HarnessError(f"{path} cannot be read as a file of torch.save: {reason}{way_out}") from None


def unwrap(content: Any, path: Path) -> StoredState:
    """The state dict inside what a training script saved. Raises HarnessError when there is none."""
    wrappers: list[str] = []
    left_out: list[str] = []
    while True:
        entries = _entries(content)
        if tensors := _tensors(entries):
            left_out += [str(key) for key in entries if key not in tensors]
            return StoredState(tensors, tuple(wrappers), tuple(left_out))
        # Not an empty one: some scripts leave room for averages that they do not take.
        wrapper = next((key for key in WRAPPERS if isinstance(entries.get(key), Mapping) and entries[key]), None)
        if wrapper is None:
            raise _no_state(content, path)
        wrappers.append(wrapper)
        left_out += [str(key) for key in entries if key != wrapper]
        content = entries[wrapper]


def _entries(content: Any) -> Mapping[Any, Any]:
    return content if isinstance(content, Mapping) else {}


def _tensors(entries: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The entries but for placeholders; none at all when any other is not a tensor with a name."""
    read = {key: value for key, value in entries.items() if not isinstance(value, Placeholder)}
    return read if all(isinstance(key, str) and isinstance(value, Tensor) for key, value in read.items()) else {}


def _no_state(content: Any, path: Path) -> HarnessError:
    keys = list(_entries(content))
    what = f"the keys {', '.join(map(str, keys[:SHOWN]))}" if keys else f"a {type(content).__name__}"
    objects = any(isinstance(value, Placeholder) for value in (content, *_entries(content).values()))
    return HarnessError(
        f"{path} holds no state dict, but {what}.\n"
        f"     save network.state_dict() alone, or under one of: {', '.join(WRAPPERS)}{_OBJECTS if objects else ''}"
    )


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load every tensor into a network that has exactly these. Raises HarnessError naming the first differences."""
    own = network.state_dict()
    differing = [key for key in own if key in tensors and tensors[key].shape != own[key].shape]
    shapes = [
        f"{key} is {tuple(tensors[key].shape)} in the file, {tuple(own[key].shape)} in the network" for key in differing
    ]
    rounded = [
        f"{key} holds {str(tensors[key].dtype).removeprefix('torch.')} in the file, where the network has "
        f"{str(own[key].dtype).removeprefix('torch.')}"
        for key in own
        if key in tensors and own[key].is_floating_point() and not tensors[key].is_floating_point()
    ]
    missing = [key for key in own if key not in tensors]
    unexpected = [key for key in tensors if key not in own]
    if not shapes and not rounded:
        # Not strict: torch forgives counters that old files lack, and says what it does not forgive.
        missing, unexpected = network.load_state_dict(dict(tensors), strict=False)
    problems = [
        *_some("shapes differ", shapes, "; "),
        *_some("quantized weights are not taken without their scales", rounded, "; "),
        *_some("the file lacks", missing),
        *_some("the network has no", unexpected),
        *_about_classes([(tensors[key], own[key]) for key in differing]),
    ]
    if problems:
        lines = "\n".join(f"     {problem}" for problem in problems)
        raise HarnessError(f"{where}: the weights do not fit the network.\n{lines}")


def _about_classes(differing: list[tuple[Tensor, Tensor]]) -> list[str]:
    """What may be behind one layer that differs in the number of its outputs."""
    fitting = [len(stored) for stored, own in differing if stored.ndim and stored.shape[1:] == own.shape[1:]]
    if not 1 <= len(fitting) == len(differing) <= 2 or len(set(fitting)) > 1:
        return []
    classes = fitting[0]
    return [f"if these are {classes} classes, say so in `arguments`, such as {{ num_classes = {classes} }}"]


def _some(what: str, names: list[str], separator: str = ", ") -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{what}: {separator.join(names[:SHOWN])}{more}"]
