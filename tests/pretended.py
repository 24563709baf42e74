"""A GPU that is none: what lies on it is computed by the CPU, but refuses to meet what does not lie on it.

A machine without a GPU can tell with it whether every tensor of a run goes where the run goes. As a program, it runs a
suite there and leaves the records in a store, or trains a card:

    python -m tests.pretended run SUITE STORE
    python -m tests.pretended train CARD

In a process of its own, because torch takes one such device and never forgets it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from harness.plan import Options, make_plan
from harness.runner import execute
from harness.store import Store
from harness.train.run import train_card

NAME = "pretended"

aten = torch.ops.aten

CROSSING = {aten.copy_.default, aten._to_copy.default}
"""Operations that take a tensor from one device to another."""

INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
"""Operations that take indices from the CPU on a GPU, but not the other way round."""


class Backend(backend_registration._DummyBackendModule):
    """What torch asks of a device's module."""

    def get_rng_state(self, device: object = None) -> Tensor:
        return torch.zeros(1, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: object = None) -> None:
        """Nothing is drawn on it: draws of harness are functions of counters."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class OnDevice(Tensor):
    """A tensor that lies on the device."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnDevice:
        lying: OnDevice = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        lying.held = inner
        return lying

    def tolist(self) -> Any:
        return self.held.tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = OnDevice(self.held.clone())
        if isinstance(self, torch.nn.Parameter):
            return torch.nn.Parameter(copied, self.requires_grad)
        return copied.requires_grad_(self.requires_grad)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return compute(func, args, dict(kwargs or {}))


class Factories(TorchDispatchMode):
    """Sees operations that are given no tensor, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, dict(kwargs or {}))


def compute(operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """On the CPU, where the device would; RuntimeError where the device would not."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    here = [tensor for tensor in tensors if tensor.dim() and not isinstance(tensor, OnDevice)]
    indexes_there = operation in INDEXING and isinstance(args[0], OnDevice)
    if there and here and operation not in CROSSING and not indexes_there:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in here)
        raise RuntimeError(f"{operation}: tensors on two devices; on the CPU: {shapes}")
    on_device = bool(there)
    if operation is aten.copy_.default:
        on_device = isinstance(args[0], OnDevice)
    elif kwargs.get("device") is not None:
        on_device = torch.device(kwargs["device"]).type == NAME
        kwargs["device"] = torch.device("cpu")
    known = {id(tensor.held): tensor for tensor in there}
    computed = operation(*tree_map(inside, args), **tree_map(inside, kwargs))
    return tree_map(lambda value: outside(value, known), computed) if on_device else computed


def inside(value: Any) -> Any:
    """What is computed with."""
    return value.held if isinstance(value, OnDevice) else value


def outside(value: Any, known: Mapping[int, OnDevice]) -> Any:
    """What is given back: what was changed in place is the tensor that it was."""
    if not isinstance(value, Tensor):
        return value
    return known[id(value)] if id(value) in known else OnDevice(value)


@contextlib.contextmanager
def device() -> Iterator[torch.device]:
    """The device, while this lasts."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=Backend())
    # Scalars become tensors on the CPU first and are then moved, in sight of the mode.
    torch._C._set_only_lift_cpu_tensors(True)
    with Factories():  # type: ignore[no-untyped-call]
        yield torch.device(NAME, 0)


def main(verb: str, file: str, *store: str) -> int:
    """Run a suite or train a card on the device."""
    if verb == "train":
        with device() as there:
            train_card(file, device=str(there), quiet=True)
        return 0
    plan = make_plan(file, Options())
    with device() as there:
        outcome = execute(plan, Store(*store), there, Console(stderr=True, quiet=True)).outcome
    for reason in set(outcome.failures.values()):
        sys.stderr.write(reason)
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
