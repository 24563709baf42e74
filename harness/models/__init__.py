"""Models. A model is a `Classifier`: images (N, C, H, W) in [0, 1] to logits (N, K), everything else inside.

`load_model("source:name")` is the only way in. The part before the first colon names the source, the rest is the
source's own: a name, a path, a dotted path. No source, no model; no source ever falls back to another one.

To add a source, register a function in a new module `from_<source>.py` of this package (or in an installed plugin,
entry-point group `harness.model_sources`). It takes what follows the colon, and those of `architecture`, `arguments`,
`mean`, `std` and `input_size` that mean something for it as keywords with defaults; it returns a `Classifier` whose
provenance carries the full id, `random_weights` when nothing was trained, and in `details`:

- `weights_file`, `weights_sha256`: the file that the weights were read from, where there is one;
- `arguments`, `source_sha256`: what shapes the computation without showing in layers and tensors; both enter the
  fingerprint.

Its `geometry` says how image files become the model's input, where the source knows; `load_model` writes it among the
details.

This page imports no torch, so that model cards can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError, did_you_mean
from harness.core.geometry import INTERPOLATIONS, Geometry, Interpolation
from harness.core.registry import Registry, first_line, parameters_of
from harness.models.card import zoo_cards

if TYPE_CHECKING:
    from harness.models.classifier import Classifier

Source = Callable[..., "Classifier"]

MODEL_SOURCES: Registry[Source] = Registry("model source", package=__name__)


def load_model(
    id: str,
    *,
    architecture: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_size: Sequence[int] | None = None,
    resize: int | None = None,
    crop: int | None = None,
    interpolation: Interpolation | None = None,
) -> Classifier:
    """The classifier under an id such as "zoo:cifar10-resnet20-bn" or "torchvision:vgg19@IMAGENET1K_V1".

    Args:
        id: source, colon, and what the source understands.
        architecture: the network that a file of weights belongs to.
        arguments: keywords of the network or factory.
        mean: standardization per channel, or one number for all; only where the weights do not bring their own.
        std: the same.
        input_size: (H, W) that images are given in; default what the source knows.
        resize: of its geometry: to how many pixels the shorter side of an image file is scaled.
        crop: of its geometry: side of the middle square that is cut out then; alone, that is all of the middle.
        interpolation: of its geometry: how pixels are scaled.

    Raises:
        HarnessError: for an id without source, an unknown source or name, a key that the source does not take,
            weights that are missing or damaged, and arguments that do not fit.
    """
    prefix, colon, name = id.partition(":")
    if not colon:
        raise HarnessError(f'model "{id}" names no source.\n{_suggestion(id)}     write one of\n{_sources()}')
    if prefix not in MODEL_SOURCES:
        near = did_you_mean(prefix, MODEL_SOURCES.names())
        raise HarnessError(
            f'model "{id}": there is no source "{prefix}".\n     {near}\n     write one of\n{_sources()}'
        )
    source = MODEL_SOURCES.get(prefix)
    if not name:
        raise HarnessError(f'model "{id}" has no name after the colon; write {first_line(source)}')
    _check_standardization(id, mean, std)
    keys: dict[str, Any] = {
        "architecture": architecture,
        "arguments": dict(arguments) if arguments else None,
        "mean": tuple(float(value) for value in mean) if mean is not None else None,
        "std": tuple(float(value) for value in std) if std is not None else None,
        "input_size": _height_and_width(id, input_size) if input_size is not None else None,
    }
    given = {key: value for key, value in keys.items() if value is not None}
    taken = [parameter for parameter in parameters_of(source) if parameter in keys]
    refused = [key for key in given if key not in taken]
    if refused:
        raise HarnessError(
            f'model "{id}": the source "{prefix}" does not take {", ".join(refused)}.\n'
            f"     it takes: {', '.join(taken) or 'nothing but the id'}"
        )
    model = source(name, **given)
    model.geometry = _changed(id, model.geometry, resize, crop, interpolation)
    if model.geometry:
        details = {**model.provenance.details, "geometry": model.geometry.label}
        model.provenance = replace(model.provenance, details=details)
    return model


def _check_standardization(id: str, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    if (mean is None) != (std is None):
        raise HarnessError(f'model "{id}": give mean and std together, or neither')
    if mean is None or std is None:
        return
    if len(mean) != len(std) or not mean:
        raise HarnessError(
            f'model "{id}": mean has {len(mean)} numbers and std has {len(std)}; both need one per channel'
        )
    if not all(isfinite(value) for value in (*mean, *std)) or min(std) <= 0:
        raise HarnessError(
            f'model "{id}": mean must be finite, and std greater than 0 (given: mean = {list(mean)}, std = {list(std)})'
        )
    if max(mean) > 1:
        raise HarnessError(
            f'model "{id}": mean is on the scale of pixels in [0, 1] (given: {list(mean)}).\n'
            f"     divide mean and std by 255: mean = {[round(value / 255, 4) for value in mean]}"
        )


def _height_and_width(id: str, input_size: Sequence[int]) -> tuple[int, int]:
    if len(input_size) != 2 or not all(isinstance(value, int) and value > 0 for value in input_size):
        raise HarnessError(f'model "{id}": input_size must be [height, width] (given: {list(input_size)})')
    return input_size[0], input_size[1]


def _changed(
    id: str, own: Geometry | None, resize: int | None, crop: int | None, interpolation: Interpolation | None
) -> Geometry | None:
    """A model's own geometry, or what is asked for instead."""
    if resize is None and crop is None and interpolation is None:
        return own
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        raise HarnessError(
            f'model "{id}": interpolation "{interpolation}" is unknown.\n'
            f"     {did_you_mean(interpolation, INTERPOLATIONS)}"
        )
    if crop is not None:
        how = interpolation or (own.interpolation if own else "bilinear")
        changed = Geometry(resize or crop, crop, crop, how)
    elif own is not None:
        changed = own._replace(resize=resize or own.resize, interpolation=interpolation or own.interpolation)
    else:
        raise HarnessError(f'model "{id}" does not say which part of an image it takes; give crop too')
    largest = max(changed.height, changed.width)
    if not 0 < largest <= changed.resize:
        raise HarnessError(
            f'model "{id}": a middle of {largest} pixels cannot be cut out of images scaled to {changed.resize}'
        )
    return changed


def _sources() -> str:
    """One line per source: how its ids look."""
    return "\n".join(f"       {first_line(MODEL_SOURCES.get(name))}" for name in MODEL_SOURCES.names())


def _suggestion(id: str) -> str:
    return f"     did you mean: zoo:{id}?\n" if id in zoo_cards() else ""
