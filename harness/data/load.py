"""From the `[dataset]` table of a suite to the images that it uses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from harness.core.errors import HarnessError, did_you_mean, in_one_line
from harness.core.geometry import Geometry
from harness.core.registry import parameters_of
from harness.core.validation import check_value
from harness.data import DATASETS, ChosenImages, Dataset, Source
from harness.data.subset import Choice, choose


def load_dataset(
    id: str,
    arguments: Mapping[str, Any] | None = None,
    samples: int | None = None,
    indices: Choice = "balanced",
    label: str | None = None,
    limit: int | None = None,
    geometry: Geometry | None = None,
) -> Dataset:
    """Load the images that a suite with such a `[dataset]` table uses, with their pixels.

    Args:
        id: name of a registered loader: digits, cifar10, folder, ...
        arguments: the loader's keyword arguments: split, root, path, ...
        samples: how many images; None for all that `indices` names.
        indices: "balanced" over the classes, the "first" ones, or a list of positions in the whole data set.
        label: how reports name the data; None for the loader's own name.
        limit: use no more images than this, however many `samples` and `indices` ask for.
        geometry: that of a model, for loaders whose `size` is "model".

    Raises:
        HarnessError: for an unknown loader, key, value or index, too many samples, and missing or unusable files.
    """
    return choose_images(id, arguments, samples, indices, label, limit).at(geometry)


def choose_images(
    id: str,
    arguments: Mapping[str, Any] | None = None,
    samples: int | None = None,
    indices: Choice = "balanced",
    label: str | None = None,
    limit: int | None = None,
) -> ChosenImages:
    """Choose the images that a suite uses; reads no pixels.

    Args:
        id: name of a registered loader.
        arguments: the loader's keyword arguments.
        samples: how many images; None for all that `indices` names.
        indices: "balanced" over the classes, the "first" ones, or a list of positions in the whole data set.
        label: how reports name the data; None for the loader's own name.
        limit: use no more images than this, however many `samples` and `indices` ask for.

    Raises:
        HarnessError: for an unknown loader, key, value or index, too many samples, or missing files.
    """
    source = open_source(id, arguments or {})
    if limit is not None:
        available = len(indices) if isinstance(indices, list) else len(source.labels)
        samples = min(limit, available if samples is None else samples)
    return ChosenImages(source, choose(source.labels, samples, indices), label or source.name)


def open_source(id: str, arguments: Mapping[str, Any]) -> Source:
    """What a loader gives; reads no pixels.

    Raises:
        HarnessError: for an unknown loader, key or value, and for files that are missing or cannot be read.
    """
    try:
        return DATASETS.get(id)(**resolve_arguments(id, arguments))
    except OSError as error:
        raise HarnessError(f'the files of dataset "{id}" cannot be read ({in_one_line(error)})') from error


def allowing_download(id: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that let the loader fetch files, if it can."""
    return {**arguments, **({"download": True} if "download" in parameters_of(DATASETS.get(id)) else {})}


def resolve_arguments(id: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The loader's arguments with every default filled in; reads no data.

    Raises:
        HarnessError: for an unknown loader, an unknown or missing key, or a value of the wrong type.
    """
    parameters = parameters_of(DATASETS.get(id))
    unknown = next((key for key in arguments if key not in parameters), None)
    if unknown is not None:
        raise HarnessError(
            f'dataset "{id}" has no key {unknown}.\n     {did_you_mean(unknown, parameters)}\n'
            f"     its keys: {', '.join(parameters) or 'none'}"
        )
    return {key: _value(id, parameter, arguments) for key, parameter in parameters.items()}


def _value(id: str, parameter: inspect.Parameter, arguments: Mapping[str, Any]) -> Any:
    if parameter.name in arguments:
        return check_value(parameter, arguments[parameter.name])
    if parameter.default is parameter.empty:
        raise HarnessError(f'dataset "{id}" needs the key {parameter.name}')
    return parameter.default
