"""The models of a suite, each loaded, described and asked about real images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from harness.attacks import as_float
from harness.cells import ModelEntry
from harness.core.errors import HarnessError
from harness.data import Dataset
from harness.models import load_model
from harness.models.classifier import Classifier, undisturbed
from harness.plan.mistakes import Mistakes
from harness.spec import ModelSpec, Reading
from harness.store import ModelDescription

TIMED_IMAGES = 4
"""Images on which a model's forward pass is timed for the estimate."""


class PlannedModel(NamedTuple):
    """A model of the suite, measured."""

    spec: ModelSpec
    """What the suite says."""
    entry: ModelEntry
    """What reports say."""
    classes: int
    """Number of logits."""
    seconds_per_image: float
    """Time of a forward pass."""


def open_model(spec: ModelSpec) -> Classifier:
    """Load the model of a `[[models]]` table."""
    return load_model(spec.id, architecture=spec.architecture, arguments=spec.arguments, mean=spec.mean, std=spec.std)


def plan_models(reading: Reading, datasets: Sequence[Dataset], mistakes: Mistakes) -> dict[str, PlannedModel]:
    """The suite's models by name."""
    models: dict[str, PlannedModel] = {}
    names: set[str] = set()
    for position, spec in enumerate(reading.suite.models):
        if ("models", position) in reading.unread:
            continue
        where = reading.place("models", position)
        if spec.name in names:
            mistakes.add(f"{where}.name", f'two models are called "{spec.name}"; names are unique')
        names.add(spec.name)
        planned = mistakes.attempt(where, lambda spec=spec: plan_model(spec, datasets))  # type: ignore[misc]
        if planned is not None:
            models[spec.name] = planned
    return models


def plan_model(spec: ModelSpec, datasets: Sequence[Dataset]) -> PlannedModel:
    """Load, describe and probe a model. Raises HarnessError when it does not fit the data."""
    classifier = open_model(spec)
    description = ModelDescription(
        id=spec.id,
        fingerprint=classifier.fingerprint,
        norm=classifier.census.family,
        norm_layers={family.rstrip("_"): count for family, count in classifier.census._asdict().items() if count},
        parameters=classifier.parameter_count,
        random_weights=classifier.provenance.random_weights,
        details=classifier.provenance.details,
    )
    classes, seconds = 0, 0.0
    for dataset in datasets:
        with undisturbed(classifier):
            classes, seconds = probe(classifier, dataset, spec)
    entry = ModelEntry(name=spec.name, label=spec.label or spec.name, facts=spec.facts, description=description)
    return PlannedModel(spec, entry, classes, seconds)


def probe(classifier: Classifier, dataset: Dataset, spec: ModelSpec) -> tuple[int, float]:
    """Number of classes and seconds per image of a forward pass on a few real images.

    Raises:
        HarnessError: when the model does not accept the images, or its classes are not those of the data.
    """
    images = as_float(torch.from_numpy(dataset.images[:TIMED_IMAGES].copy()))
    shape = tuple(images.shape[1:])
    standardized = classifier.mean.shape[1]
    if standardized not in (1, shape[0]):
        # Broadcasting would repeat the channels of the images.
        raise HarnessError(
            f'model "{spec.id}" cannot take the images of {dataset.name}, {shape}: '
            f"it standardizes {standardized} channels, they have {shape[0]}"
        )
    try:
        with torch.no_grad():
            logits = classifier(images[:1])
            begin = time.perf_counter()
            classifier(images)
            seconds = (time.perf_counter() - begin) / len(images)
    except Exception as error:  # noqa: BLE001 - a forward pass may be the user's code, which may raise anything
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise HarnessError(f'model "{spec.id}" cannot take the images of {dataset.name}, {shape}: {reason}') from None
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 1:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise HarnessError(
            f'model "{spec.id}" must return logits (N, K) for images (N, C, H, W); for one image it returned {got}'
        )
    classes, expected = logits.shape[1], len(dataset.classes)
    numbered = dataset.classes == tuple(str(number) for number in range(expected))
    if classes < expected or (classes > expected and not numbered):
        raise HarnessError(
            f'model "{spec.id}" has {classes} classes, {dataset.name} has {expected}; their labels do not match'
        )
    return classes, seconds
