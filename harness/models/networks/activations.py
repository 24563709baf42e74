"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from harness.core.errors import HarnessError, did_you_mean

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "selu": nn.SELU,
}


def activation_factory(name: str) -> Callable[[], nn.Module]:
    """The layer factory under a name; LeakyReLU has slope 0.01. Raises HarnessError for an unknown one."""
    if name not in ACTIVATIONS:
        raise HarnessError(f'activation "{name}" is unknown.\n     {did_you_mean(name, ACTIVATIONS)}')
    return ACTIVATIONS[name]
