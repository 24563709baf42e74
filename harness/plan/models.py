"""The models of a suite, each loaded, described and asked about real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from harness.cells import ModelEntry
from harness.core.geometry import Geometry
from harness.data import ChosenImages, Dataset
from harness.models import load_model
from harness.models.classifier import Classifier, undisturbed
from harness.models.folded import check_folded_view, take_folded_view
from harness.models.views import recalibrate, take_batchnorm_view, take_robustnorm_view
from harness.plan.calibration import Calibrations, calibration_batches, described
from harness.plan.left_out import or_left_out
from harness.plan.mistakes import Mistakes
from harness.plan.options import Options
from harness.plan.probing import TIMED_IMAGES, answer, first_images, probe
from harness.spec import DatasetSpec, ModelSpec, Reading, Suite
from harness.store import ModelDescription


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
    geometry: Geometry | None
    """How images are made for it."""
    calibration: ChosenImages | None = None
    """The clean images of the view bn = "recalibrated"."""


def open_model(
    spec: ModelSpec, calibration: ChosenImages | None = None, device: torch.device | None = None
) -> Classifier:
    """Load the model of a `[[models]]` table in its view.

    Args:
        spec: the table.
        calibration: the clean images of the view bn = "recalibrated".
        device: where to; without one, the model stays on the CPU and its statistics are not averaged anew.

    Raises:
        HarnessError: when there is no such model, or none in this view; and for unusable clean images.
    """
    model = load_model(
        spec.id, architecture=spec.architecture, arguments=spec.arguments, mean=spec.mean, std=spec.std,
        resize=spec.resize, crop=spec.crop, interpolation=spec.interpolation,
    )  # fmt: skip
    clean = calibration.at(model.geometry) if calibration else None
    if spec.bn == "folded":
        take_folded_view(model)
    elif spec.bn:
        take_batchnorm_view(model, spec.bn, described(clean) if clean else None)
    if spec.rn:
        take_robustnorm_view(model, spec.rn)
    if device is not None:
        model = model.to(device)
        if clean:
            recalibrate(model, calibration_batches(clean, device))
    return model


def plan_models(
    reading: Reading, datasets: Sequence[ChosenImages], options: Options, mistakes: Mistakes
) -> dict[str, PlannedModel]:
    """The suite's models by name."""
    calibrations = Calibrations(reading.suite, options)
    plan_one: Callable[[ModelSpec], PlannedModel] = partial(plan_model, datasets=datasets, calibrations=calibrations)
    if options.available:
        plan_one = partial(or_left_out, plan_one)
    scaled = scales_images(datasets, reading.suite.datasets)
    models: dict[str, PlannedModel] = {}
    names: set[str] = set()
    for position, spec in enumerate(reading.suite.models):
        if ("models", position) in reading.unread:
            continue
        where = reading.place("models", position)
        if spec.name in names:
            mistakes.add(f"{where}.name", f'two models are called "{spec.name}"; names are unique')
        names.add(spec.name)
        if not scaled and (idle := idle_geometry(spec)):
            mistakes.add(f"{where}.{idle[0]}", "it has no effect: no data set has the key `size`")
        planned = mistakes.attempt(where, partial(plan_one, spec))
        if planned is not None:
            models[spec.name] = planned
    return models


def scales_images(datasets: Sequence[ChosenImages], specs: Sequence[DatasetSpec]) -> bool:
    """Whether a data set scales its images, as models ask or to a number, as the same suite may another time.

    One that could not be opened may.
    """
    asks = any(images.source.at for images in datasets)
    return asks or len(datasets) < len(specs) or any("size" in spec.arguments for spec in specs)


def idle_geometry(spec: ModelSpec) -> list[str]:
    """The keys with which a model says what images it takes, and which mean nothing where none are scaled."""
    given = [key for key in ("resize", "crop", "interpolation") if getattr(spec, key) is not None]
    return [] if spec.calibration else given


def plan_model(spec: ModelSpec, datasets: Sequence[ChosenImages], calibrations: Calibrations) -> PlannedModel:
    """Load, describe and probe a model. Raises HarnessError when it does not fit the data."""
    calibration = calibrations.images_for(spec)
    classifier = open_model(spec, calibration)
    description = ModelDescription(
        id=spec.id,
        fingerprint=classifier.fingerprint,
        norm=classifier.census.family,
        norm_layers=classifier.census.layers,
        parameters=classifier.parameter_count,
        random_weights=classifier.provenance.random_weights,
        batch_dependent=classifier.batch_dependent,
        details=classifier.provenance.details,
    )
    classes, seconds = 0, 0.0
    for images in datasets:
        dataset = images.at(classifier.geometry)
        at_once = smallest_batch(dataset, calibrations.suite) if classifier.batch_dependent else 1
        with undisturbed(classifier):
            classes, seconds = probe(classifier, dataset, spec, at_once)
    if spec.bn == "folded":
        original = open_model(spec.model_copy(update={"bn": None}))
        for images in datasets:
            check_folded_view(classifier, original, first_images(images.at(classifier.geometry)))
    if calibration:
        with undisturbed(classifier):
            answer(classifier, first_images(calibration.at(classifier.geometry)), calibration.name, spec)
    entry = ModelEntry(
        name=spec.name, label=spec.label or spec.name, facts=spec.facts, description=description,
        paper=spec.paper.model_dump(exclude_none=True),
    )  # fmt: skip
    return PlannedModel(spec, entry, classes, seconds, classifier.geometry, calibration)


def smallest_batch(dataset: Dataset, suite: Suite) -> int:
    """Size of the smallest fixed batch of a data set: the last one, unless they come out even."""
    size = TIMED_IMAGES[0] if suite.batch_size == "auto" else suite.batch_size
    return len(dataset.labels) % size or size
