"""Building networks from factories: reproducible initialization, and arguments that fail in words."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from harness.core.errors import HarnessError

Factory = Callable[..., nn.Module]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw the CPU's random numbers from `seed`, and put the generator back where it was.

    Networks are initialized on the CPU, so that the generators of GPUs are neither used nor touched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def construct(factory: Factory, arguments: Mapping[str, Any], where: str, *, seed: int = 0) -> nn.Module:
    """The network of a factory, freshly initialized from `seed`.

    Raises:
        HarnessError: when the factory does not take the arguments, or fails with them; it lists the known ones.
    """
    check_arguments(factory, arguments, where)
    try:
        with seeded(seed):
            return factory(**arguments)
    except HarnessError:
        raise
    except Exception as error:  # whatever a library makes of arguments that it cannot use
        if not arguments:
            raise
        raise _misfit(factory, arguments, where, f"{type(error).__name__}: {error}") from error


def check_arguments(factory: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> None:
    """Hold arguments against a factory's signature. Raises HarnessError listing the known ones."""
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise _misfit(factory, arguments, where, str(error)) from None


def _misfit(factory: Callable[..., Any], arguments: Mapping[str, Any], where: str, reason: str) -> HarnessError:
    given = ", ".join(f"{key} = {value!r}" for key, value in arguments.items()) or "none"
    return HarnessError(
        f"{where}: the arguments do not fit: {reason}\n     given: {given}\n"
        f"     known: {', '.join(known_arguments(factory)) or 'none'}"
    )


def known_arguments(factory: Callable[..., Any]) -> list[str]:
    """Keywords of a factory, and of the class that it passes further keywords on to, sorted.

    What a `partial` has set already is not for others to set, and left out.
    """
    settled = factory.keywords if isinstance(factory, partial) else {}
    parameters = list(inspect.signature(factory).parameters.values())
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        parameters += _class_parameters(factory)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return sorted({parameter.name for parameter in parameters if parameter.kind in named} - set(settled))


def _class_parameters(factory: Factory) -> list[inspect.Parameter]:
    """The optional parameters of the class that a factory builds, found by building one without memory or weights."""
    plain = partial(factory.func, *factory.args) if isinstance(factory, partial) else factory
    try:
        with seeded(0), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = plain()
    except Exception:  # noqa: BLE001 - this only words an error; that one must not be replaced by another
        return []
    signature = inspect.signature(type(built))
    return [parameter for parameter in signature.parameters.values() if parameter.default is not parameter.empty]
