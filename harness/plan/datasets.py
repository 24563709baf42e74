"""The data sets of a suite, loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.cells import DatasetEntry
from harness.core.registry import parameters_of
from harness.core.validation import check_value
from harness.data import DATASETS, ChosenImages
from harness.data.load import allowing_download, choose_images, resolve_arguments
from harness.plan.mistakes import Mistakes
from harness.plan.options import Options
from harness.spec import DatasetSpec, ImagesSpec, Reading


def plan_datasets(reading: Reading, options: Options, mistakes: Mistakes) -> dict[str, ChosenImages]:
    """The suite's data sets by label."""
    datasets: dict[str, ChosenImages] = {}
    for position, spec in enumerate(reading.suite.datasets):
        where = reading.place("datasets", position)
        if ("datasets", position) in reading.unread or not check_keys(spec, where, mistakes):
            continue
        images = mistakes.attempt(where, loader(spec, options))
        if images is None:
            continue
        if images.name in datasets:
            mistakes.add(where, f'two data sets are called "{images.name}"; give one a label')
        datasets[images.name] = images
    return datasets


def check_keys(spec: DatasetSpec, where: str, mistakes: Mistakes) -> bool:
    """Note every wrong key of a `[dataset]` table, not only the first; whether there is none."""
    if mistakes.attempt(f"{where}.id", lambda: DATASETS.get(spec.id)) is None:
        return False
    parameters, before = parameters_of(DATASETS.get(spec.id)), len(mistakes.found)
    for key, value in spec.arguments.items():
        if key in parameters:
            mistakes.attempt(where, lambda key=key, value=value: check_value(parameters[key], value), joint=".")  # type: ignore[misc]
        else:
            mistakes.attempt(where, lambda key=key, value=value: resolve_arguments(spec.id, {key: value}))  # type: ignore[misc]
    return len(mistakes.found) == before


def loader(spec: DatasetSpec, options: Options) -> Callable[[], ChosenImages]:
    """What chooses the images of a `[dataset]` table; raises HarnessError when they cannot be had."""
    arguments = loader_arguments(spec, options)

    def load() -> ChosenImages:
        images = choose_images(spec.id, arguments, spec.samples, spec.indices, spec.label, options.limit)
        if images.source.at is None:
            images.at(None)  # unusable files are mistakes of the data set, not of the models that are asked about them
        return images

    return load


def loader_arguments(spec: ImagesSpec, options: Options) -> dict[str, Any]:
    """What the loader of some images is given: the suite's keys, and the command line's leave to download."""
    return allowing_download(spec.id, spec.arguments) if options.download else spec.arguments


def describe_dataset(label: str, images: ChosenImages, spec: DatasetSpec) -> DatasetEntry:
    """What reports say about a data set."""
    selection = {"balanced": "class-balanced", "first": "first"}.get(str(spec.indices), "listed")
    fingerprints = {
        geometry.label if geometry else "": dataset.fingerprint for geometry, dataset in images.read.items()
    }
    paper = {"dataset": spec.id, **spec.paper.model_dump(exclude_none=True)}
    return DatasetEntry(
        label=label, samples=len(images), selection=selection, fingerprints=fingerprints, keep=spec.keep, paper=paper,
        origin=images.source.origin,
    )  # fmt: skip
