"""What a module holds in tensors, so that it can be compared and put back."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Held(NamedTuple):
    """A tensor of a module as it was."""

    owner: MutableMapping[str, Tensor | None]
    """The table of a submodule in which it stands; a forward pass may put another tensor in its place."""
    name: str
    tensor: Tensor
    value: Tensor
    """A copy."""

    @property
    def changed(self) -> bool:
        """Whether another tensor stands in its place, or other values in the tensor."""
        # The tables of scripted modules know no `get`.
        there = self.owner[self.name] if self.name in self.owner else None  # noqa: SIM401
        return there is not self.tensor or not _equal(self.tensor, self.value)


class State:
    """The parameters and buffers of a module at one moment, or its buffers alone."""

    def __init__(self, module: nn.Module, *, parameters: bool = True) -> None:
        """Copies every tensor once."""
        kinds: list[Callable[[nn.Module], MutableMapping[str, Tensor | None]]] = [lambda part: part._buffers]
        if parameters:
            kinds.append(lambda part: part._parameters)  # type: ignore[arg-type,return-value]
        self.held = [
            Held(owner, name, tensor, tensor.detach().clone())
            for part in module.modules()
            for owner in (kind(part) for kind in kinds)
            for name, tensor in owner.items()
            if tensor is not None
        ]

    @property
    def changed(self) -> bool:
        """Whether the module holds anything else now."""
        return any(held.changed for held in self.held)

    @torch.no_grad()
    def put_back(self) -> None:
        """Let the module hold what it held then."""
        for held in self.held:
            if held.changed:
                held.tensor.copy_(held.value)
                held.owner[held.name] = held.tensor


def _equal(one: Tensor, other: Tensor) -> bool:
    # torch compares no sparse tensors.
    return torch.equal(*(part if part.layout is torch.strided else part.to_dense() for part in (one, other)))
