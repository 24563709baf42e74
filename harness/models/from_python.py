"""Models of your own code: a function that returns a network."""

from __future__ import annotations

import copy
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from harness.core.errors import HarnessError, did_you_mean
from harness.core.sources import sources_sha256
from harness.models import MODEL_SOURCES
from harness.models.classifier import Classifier, Provenance
from harness.models.construction import check_arguments, seeded
from harness.models.contents import attributes_sha256, check_contents
from harness.models.uncompiled import is_compiled, is_parallel, uncompiled, unwrapped


@MODEL_SOURCES.register("python")
def from_python(
    name: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    input_size: tuple[int, int] | None = None,
) -> Classifier:
    """python:PACKAGE.MODULE:FACTORY - what a function of yours returns: images (N, C, H, W) to logits (N, K).

    The working directory is importable. `arguments` are the factory's keywords. Without `mean` and `std` the network
    is given images in [0, 1] as they are. A factory may also return a `Classifier`, which brings its own. What it
    returns is copied: a network that the module keeps stays as it is, in its modes, flags, buffers and on its device.
    The copy lies on the CPU, until a run moves it. Of a network that comes compiled, or in DataParallel, it is neither;
    `compile = true` in the suite compiles passes.

    Raises:
        HarnessError: when the module cannot be imported, has no such factory, or the factory fails or returns
            something else, or a network that cannot be copied.
    """
    where = f"python:{name}"
    module_name, colon, attribute = name.partition(":")
    if not colon or not attribute or not module_name:
        raise HarnessError(f"{where}: write python:PACKAGE.MODULE:FACTORY")
    given = dict(arguments or {})
    with working_directory_importable():
        module = _import(module_name, where)
        factory = _factory(module, attribute, where)
        network = uncompiled(own_copy(_call(factory, given, where), where))
    check_contents(network, where)
    details = {
        "factory": name,
        "arguments": given,
        "source_sha256": source_sha256(module, factory, network),
        "attributes_sha256": attributes_sha256(network),
    }
    if isinstance(network, Classifier):
        if mean is not None or std is not None or input_size is not None:
            raise HarnessError(
                f"{where} returned a Classifier, which brings its own mean, std and input_size; remove them"
            )
        wrapped = {"id": network.provenance.id, **network.provenance.details}
        network.provenance = replace(network.provenance, id=where, details={**details, "wraps": wrapped})
        return network.eval().requires_grad_(False).to("cpu")
    try:
        provenance = Provenance(where, details=details)
        model = Classifier(network, provenance, mean=mean or (0.0,), std=std or (1.0,), input_size=input_size)
    except Exception as error:  # some networks have no modes, and say so
        raise _failure(f"{where}: the network cannot be put in eval mode", error) from error
    return model.to("cpu")


@contextmanager
def working_directory_importable() -> Iterator[None]:
    """Import from the working directory first, as `python -m` does."""
    entry = str(Path.cwd())
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def source_sha256(module: ModuleType, factory: Callable[..., Any], network: nn.Module) -> str:
    """sha256 over every source that takes part: the named module's, the factory's, the layers', what these import."""
    names = {module.__name__, getattr(factory, "__module__", module.__name__)}
    return sources_sha256(names | {type(part).__module__ for part in network.modules()})


def _import(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise HarnessError(
                f'{where}: there is no module "{error.name}".\n'
                f"     looked in the working directory {Path.cwd()} and among the installed packages"
            ) from None
        raise _failure(f"{where}: importing {name} failed", error) from error
    except Exception as error:  # any error of the user's code is the user's to read
        raise _failure(f"{where}: importing {name} failed", error) from error


def _factory(module: ModuleType, attribute: str, where: str) -> Callable[..., Any]:
    try:
        factory: Any = attrgetter(attribute)(module)
    except AttributeError:
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise HarnessError(
            f'{where}: {module.__name__} has no "{attribute}".\n     {did_you_mean(attribute, public)}'
        ) from None
    if not callable(factory):
        raise HarnessError(f"{where} is of type {type(factory).__name__}; it must be a function that returns a network")
    return factory  # type: ignore[no-any-return]


def _call(factory: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> nn.Module:
    check_arguments(factory, arguments, where)
    try:
        with seeded(0):
            network = factory(**arguments)
    except HarnessError:
        raise
    except Exception as error:  # any error of the user's code is the user's to read
        raise _failure(f"{where}: the factory failed", error) from error
    if not isinstance(network, nn.Module):
        raise HarnessError(
            f"{where} returned something of type {type(network).__name__}; it must return a torch.nn.Module"
        )
    return network


def own_copy(network: nn.Module, where: str) -> nn.Module:
    """A copy that nobody else holds. Raises HarnessError when the network cannot be copied."""
    wrappers = (part for part in network.modules() if is_compiled(part) or is_parallel(part))
    if any(part._forward_hooks or part._forward_pre_hooks for part in wrappers):
        raise HarnessError(
            f"{where}: a compiled or parallel network has hooks, which are lost when it is copied.\n"
            "     register them on the network inside, or leave compiling to `compile = true`"
        )
    network = unwrapped(network)
    # Weights that a layer makes of others (weight normalization, pruning) carry their history, which torch does not
    # copy; and of TorchScript it copies the history too.
    made = {
        id(value): value.detach().clone()
        for part in network.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        with torch.no_grad():
            return copy.deepcopy(network, made)
    except Exception as error:  # copying runs the user's code
        raise _failure(f"{where}: the network cannot be copied", error) from error


def _failure(what: str, error: Exception) -> HarnessError:
    """The error of the user's code in one line, with the place it was raised at."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    return HarnessError(f"{what}: {type(error).__name__}: {error}\n     at {place}")
