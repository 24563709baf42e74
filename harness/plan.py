"""From a suite to jobs: every name resolved, every default filled in, every id derived.

Planning loads models and data, asks each model about one image, and collects every mistake; it attacks nothing.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch

from harness.attacks import as_float
from harness.attacks.resolve import ResolvedAttack, find_factory, resolve, sweep
from harness.cells import Cell, Cells, DatasetEntry, ModelEntry
from harness.core.errors import HarnessError, Problems, did_you_mean
from harness.core.registry import parameters_of
from harness.core.threat import ThreatModel
from harness.data import DATASETS, Dataset
from harness.data.load import load_dataset
from harness.job import CraftJob
from harness.models import load_model
from harness.models.classifier import Classifier
from harness.report import check
from harness.spec import AttackSpec, DatasetSpec, ModelSpec, Suite, read_suite
from harness.store import ModelDescription, Question

T = TypeVar("T")

TIMED_IMAGES = 4
"""Images on which a model's forward pass is timed for the estimate."""

PASS_FACTOR = 3.0
"""Cost of a forward-and-backward pass in forward passes."""


class Options(NamedTuple):
    """What the command line may change about a suite."""

    overrides: tuple[str, ...] = ()
    """`--set key.path=value`."""
    limit: int | None = None
    """Use at most this many images."""
    seed: int | None = None
    """Replaces the suite's seeds."""
    download: bool = False
    """Allow data sets to be downloaded."""


class Named(NamedTuple):
    """A model of the suite, measured."""

    spec: ModelSpec
    entry: ModelEntry
    classes: int
    seconds_per_image: float


class Variant(NamedTuple):
    """One attack with one set of arguments."""

    label: str
    spec: AttackSpec
    arguments: dict[str, Any]
    passed: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """Work that one process does in one go: clean predictions, or crafting for some targets."""

    dataset: str
    """The data set's label."""
    surrogate: str
    """Suite name of the model that crafts, or that predicts."""
    cells: tuple[Cell, ...]
    """What it answers."""
    questions: tuple[Question, ...]
    """The cells' questions, in their order."""
    craft: CraftJob | None
    """What to craft; None for clean predictions."""
    seconds: float
    """Estimated time when no sample stops early."""
    passes: int
    """Forward-and-backward passes when no sample stops early."""


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know."""

    suite: Suite
    path: str
    datasets: dict[str, Dataset]
    models: dict[str, Named]
    jobs: tuple[Job, ...]
    cells: Cells


class Mistakes:
    """Collects mistakes, each with its place in the suite file."""

    def __init__(self, known: Iterable[str]) -> None:
        """`known` are the mistakes found while reading."""
        self.found = list(known)

    def add(self, where: str, message: object) -> None:
        """Note a mistake."""
        self.found.append(f"{where}: {message}")

    def attempt(self, where: str, action: Callable[[], T]) -> T | None:
        """The action's result; None, and the mistake noted, when it raises a HarnessError."""
        try:
            return action()
        except HarnessError as error:
            self.add(where, error)
            return None


def make_plan(name: str, options: Options = Options()) -> Plan:
    """Plan a suite.

    Raises:
        Problems: with every mistake in the suite file.
    """
    reading = read_suite(name, options.overrides)
    mistakes = Mistakes(reading.problems)
    if reading.suite is None:
        raise Problems(reading.path, mistakes.found)
    suite = reading.suite if options.seed is None else reading.suite.model_copy(update={"seeds": [options.seed]})
    if suite.whitebox is None and suite.transfer is None and not suite.attacks:
        mistakes.add("attacks", "there is nothing to run; add [[attacks]] and [whitebox] or [transfer]")
    variants = plan_attacks(suite, mistakes)
    datasets = plan_datasets(suite, options, mistakes)
    models = plan_models(suite, list(datasets.values()), mistakes)
    threats = plan_threats(suite, mistakes)
    sections = plan_sections(suite, variants, threats, mistakes)
    if mistakes.found:
        raise Problems(reading.path, mistakes.found)
    jobs = [job for dataset, spec in zip(datasets.items(), suite.datasets, strict=True)
            for job in plan_jobs(suite, dataset, models, sections)]  # fmt: skip
    cells = Cells(
        suite=suite.name,
        models=[model.entry for model in models.values()],
        datasets=[describe_dataset(label, dataset, spec)
                  for (label, dataset), spec in zip(datasets.items(), suite.datasets, strict=True)],
        cells=[cell for job in jobs for cell in job.cells],
    )  # fmt: skip
    if wrong := check(suite, cells):
        raise Problems(reading.path, wrong)
    return Plan(suite, reading.path, datasets, models, tuple(jobs), cells)


# --- data sets -------------------------------------------------------------------------------------------------


def plan_datasets(suite: Suite, options: Options, mistakes: Mistakes) -> dict[str, Dataset]:
    """The suite's data sets by label."""
    datasets: dict[str, Dataset] = {}
    for position, spec in enumerate(suite.datasets):
        where = "dataset" if len(suite.datasets) == 1 else f"datasets[{position}]"
        dataset = mistakes.attempt(where, lambda spec=spec: read_dataset(spec, options))  # type: ignore[misc]
        if dataset is None:
            continue
        if dataset.name in datasets:
            mistakes.add(where, f'two data sets are called "{dataset.name}"; give one a label')
        datasets[dataset.name] = dataset
    return datasets


def read_dataset(spec: DatasetSpec, options: Options) -> Dataset:
    """The images of one `[dataset]` table."""
    arguments = spec.arguments
    if options.download and "download" in parameters_of(DATASETS.get(spec.id)):
        arguments["download"] = True
    return load_dataset(spec.id, arguments, spec.samples, spec.indices, spec.label, options.limit)


def describe_dataset(label: str, dataset: Dataset, spec: DatasetSpec) -> DatasetEntry:
    """What reports say about a data set."""
    selection = {"balanced": "class-balanced", "first": "first"}.get(str(spec.indices), "listed")
    return DatasetEntry(
        label=label, samples=len(dataset.labels), selection=selection, fingerprint=dataset.fingerprint, keep=spec.keep
    )


# --- models ----------------------------------------------------------------------------------------------------


def open_model(spec: ModelSpec) -> Classifier:
    """Load the model of a `[[models]]` table."""
    return load_model(spec.id, architecture=spec.architecture, arguments=spec.arguments, mean=spec.mean, std=spec.std)


def plan_models(suite: Suite, datasets: Sequence[Dataset], mistakes: Mistakes) -> dict[str, Named]:
    """The suite's models by name, each described and asked about real images."""
    models: dict[str, Named] = {}
    for position, spec in enumerate(suite.models):
        where = f"models[{position}]"
        if spec.name in models:
            mistakes.add(where, f'two models are called "{spec.name}"; names are unique')
        named = mistakes.attempt(where, lambda spec=spec: measure_model(spec, datasets))  # type: ignore[misc]
        if named is not None:
            models[spec.name] = named
    return models


def measure_model(spec: ModelSpec, datasets: Sequence[Dataset]) -> Named:
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
        classes, seconds = probe(classifier, dataset, spec)
    entry = ModelEntry(name=spec.name, label=spec.label or spec.name, facts=spec.facts, description=description)
    return Named(spec, entry, classes, seconds)


def probe(classifier: Classifier, dataset: Dataset, spec: ModelSpec) -> tuple[int, float]:
    """Number of classes and seconds per image of a forward pass on a few real images.

    Raises:
        HarnessError: when the model does not accept the images, or its classes are not those of the data.
    """
    images = as_float(torch.from_numpy(dataset.images[:TIMED_IMAGES].copy()))
    shape = tuple(images.shape[1:])
    try:
        with torch.no_grad():
            logits = classifier(images[:1])
            begin = time.perf_counter()
            classifier(images)
            seconds = (time.perf_counter() - begin) / len(images)
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise HarnessError(f'model "{spec.id}" cannot take the images of {dataset.name}, {shape}: {reason}') from None
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 1:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise HarnessError(f'model "{spec.id}" must return logits (N, K) for images (N, C, H, W); for one image it returned {got}')
    classes, expected = logits.shape[1], len(dataset.classes)
    numbered = dataset.classes == tuple(str(number) for number in range(expected))
    if classes < expected or (classes > expected and not numbered):
        raise HarnessError(f'model "{spec.id}" has {classes} classes, {dataset.name} has {expected}; their labels do not match')
    return classes, seconds


# --- attacks and threat models ---------------------------------------------------------------------------------


def plan_attacks(suite: Suite, mistakes: Mistakes) -> list[Variant]:
    """Every attack with every set of arguments, labelled uniquely."""
    variants: list[Variant] = []
    for position, spec in enumerate(suite.attacks):
        where = f"attacks[{position}]"
        sets = mistakes.attempt(where, lambda spec=spec: sweep(spec.name, spec.preset, spec.arguments))  # type: ignore[misc]
        swept = [key for key, value in spec.arguments.items() if isinstance(value, list) and len(value) > 1]
        for arguments in sets or []:
            suffix = "".join(f" {key}={arguments[key]:g}" if isinstance(arguments[key], float) else f" {key}={arguments[key]}"
                             for key in swept)  # fmt: skip
            label = (spec.label or spec.name.upper()) + suffix
            if any(label == other.label for other in variants):
                mistakes.add(where, f'two attacks are called "{label}"; give one a label')
            passed = {**spec.arguments, **({"preset": spec.preset} if spec.preset else {})}
            variants.append(Variant(label, spec, arguments, passed))
    return variants


def plan_threats(suite: Suite, mistakes: Mistakes) -> dict[str, list[ThreatModel]]:
    """Threat models by the name under which attacks and sections refer to them."""
    threats: dict[str, list[ThreatModel]] = {}
    for position, spec in enumerate(suite.threats):
        name = spec.name or spec.norm
        if name in threats:
            mistakes.add(f"threats[{position}]", f'two threat models are called "{name}"; give one a name')
        threats[name] = spec.models
    return threats


class Section(NamedTuple):
    """The white-box or the transfer part, resolved."""

    whitebox: bool
    surrogates: list[str]
    targets: list[str]
    attacks: list[tuple[Variant, ResolvedAttack, ThreatModel]]


def plan_sections(
    suite: Suite, variants: list[Variant], threats: dict[str, list[ThreatModel]], mistakes: Mistakes
) -> list[Section]:
    """The suite's sections; white-box on everything when it has none."""
    sections: list[Section] = []
    asked = [
        ("whitebox", suite.whitebox.models, suite.whitebox.models, suite.whitebox) if suite.whitebox else None,
        ("transfer", suite.transfer.surrogates, suite.transfer.targets, suite.transfer) if suite.transfer else None,
    ]
    for part in asked:
        if part is None:
            continue
        name, surrogates, targets, spec = part
        chosen = select(f"{name}.attacks", spec.attacks, variants, lambda v: {v.label, v.spec.name}, mistakes)
        known = select(f"{name}.threats", spec.threats, list(threats), lambda t: {t}, mistakes)
        pairs = [
            (variant, *found)
            for variant in chosen
            for found in pair_with_threats(suite, variant, {key: threats[key] for key in known}, threats, mistakes)
        ]
        keys = ("models", "models") if name == "whitebox" else ("surrogates", "targets")
        sections.append(Section(
            name == "whitebox",
            select_models(f"{name}.{keys[0]}", surrogates, suite, mistakes),
            select_models(f"{name}.{keys[1]}", targets, suite, mistakes if keys[0] != keys[1] else Mistakes([])),
            pairs,
        ))  # fmt: skip
    if not sections and suite.attacks:
        mistakes.add("suite", "attacks are declared but no section says on what; add [whitebox] or [transfer]")
    return sections


def pair_with_threats(
    suite: Suite,
    variant: Variant,
    offered: dict[str, list[ThreatModel]],
    known: dict[str, list[ThreatModel]],
    mistakes: Mistakes,
) -> list[tuple[ResolvedAttack, ThreatModel]]:
    """An attack under each threat model that its entry names, or under all whose norm it works in."""
    where = f"attacks[{suite.attacks.index(variant.spec)}]"
    named = variant.spec.threats
    for name in named or []:
        if name not in known:
            mistakes.add(f"{where}.threats", f'there is no threat model "{name}".\n     {did_you_mean(name, known)}')
    candidates = [threat for name, models in offered.items() if named is None or name in named for threat in models]
    found, refusals = [], []
    for threat in candidates:
        try:
            found.append((resolve(variant.spec.name, variant.arguments, threat, variant.passed), threat))
        except HarnessError as error:
            refusals.append(error)
    if refusals and (named is not None or not found):
        mistakes.add(where, refusals[0])
    return found


def select(
    where: str, wanted: Sequence[str], things: Sequence[T], names: Callable[[T], set[str]], mistakes: Mistakes
) -> list[T]:
    """The things whose name or label matches one of the wanted patterns, in the order of the file."""
    known = sorted(set().union(*(names(thing) for thing in things))) if things else []
    for pattern in wanted:
        if things and not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            mistakes.add(where, f'nothing is called "{pattern}".\n     {did_you_mean(pattern, known)}')
    return [thing for thing in things if any(fnmatch.fnmatchcase(name, p) for p in wanted for name in names(thing))]


def select_models(where: str, wanted: Sequence[str], suite: Suite, mistakes: Mistakes) -> list[str]:
    """Suite names of models: by name, pattern, or filter on facts such as "facts.bn=N"."""
    chosen: list[str] = []
    for pattern in wanted:
        key, equals, value = pattern.partition("=")
        if equals:
            fact = key.strip().removeprefix("facts.")
            names = [spec.name for spec in suite.models if str(spec.facts.get(fact, "")) == value.strip()]
            if not names:
                mistakes.add(where, f'no model has {key.strip()} = "{value.strip()}"')
        else:
            names = [spec.name for spec in select(where, [pattern], suite.models, lambda spec: {spec.name}, mistakes)]
        chosen += names
    return [spec.name for spec in suite.models if spec.name in chosen]


# --- jobs ------------------------------------------------------------------------------------------------------


def plan_jobs(
    suite: Suite, dataset: tuple[str, Dataset], models: dict[str, Named], sections: Sequence[Section]
) -> list[Job]:
    """Clean predictions of every model first, then one job per crafting."""
    used = [name for name in models if not sections or any(name in (*s.surrogates, *s.targets) for s in sections)]
    jobs = [clean_job(dataset, models[name], suite.seeds[0]) for name in used]
    for section in sections:
        for seed in suite.seeds:
            for variant, attack, threat in section.attacks:
                for surrogate in section.surrogates:
                    targets = [surrogate] if section.whitebox else section.targets
                    jobs.append(craft_job(
                        suite, dataset, [models[name] for name in targets], models[surrogate],
                        variant, attack, threat, seed, section.whitebox,
                    ))  # fmt: skip
    return jobs


def clean_job(dataset: tuple[str, Dataset], model: Named, seed: int) -> Job:
    """The clean predictions of a model."""
    label, data = dataset
    fingerprint = model.entry.description.fingerprint
    question = Question(mode="clean", target=fingerprint, surrogate=fingerprint, dataset=data.fingerprint)
    name = model.spec.name
    cell = Cell(id=question.id, mode="clean", attack="Clean", threat="", norm="", epsilon=0.0, dataset=label, seed=seed,
                surrogate=name, target=name)  # fmt: skip
    return Job(label, name, (cell,), (question,), None, len(data.labels) * model.seconds_per_image, 0)


def craft_job(
    suite: Suite,
    dataset: tuple[str, Dataset],
    targets: Sequence[Named],
    surrogate: Named,
    variant: Variant,
    attack: ResolvedAttack,
    threat: ThreatModel,
    seed: int,
    whitebox: bool,
) -> Job:
    """One crafting and the cells it answers."""
    label, data = dataset
    arguments = dict(attack.arguments)
    if attack.attack.batch_dependent:
        arguments["batch_size"] = suite.batch_size
    questions, cells = [], []
    for target in targets:
        question = Question(
            mode="whitebox" if whitebox else "transfer",
            target=target.entry.description.fingerprint,
            surrogate=surrogate.entry.description.fingerprint,
            dataset=data.fingerprint,
            attack=attack.name,
            arguments=arguments,
            attack_version=attack.attack.version,
            norm=threat.norm,
            epsilon=threat.epsilon,
            goal=threat.goal,
            seed=seed,
        )
        questions.append(question)
        cells.append(Cell(
            id=question.id, mode=question.mode, attack=variant.label, threat=threat.label, norm=threat.norm,
            epsilon=threat.epsilon, dataset=label, seed=seed, surrogate=surrogate.spec.name, target=target.spec.name,
        ))  # fmt: skip
    passes = attack.attack.cost() * len(data.labels)
    judging = sum(target.seconds_per_image for target in targets) * len(data.labels)
    craft = CraftJob(attack, threat, seed, surrogate.classes, whitebox)
    seconds = passes * PASS_FACTOR * surrogate.seconds_per_image + judging
    return Job(label, surrogate.spec.name, tuple(cells), tuple(questions), craft, seconds, passes)


def describe_defaults(name: str) -> dict[str, Any]:
    """An attack's parameters and their defaults, for listings."""
    return {key: parameter.default for key, parameter in parameters_of(find_factory(name)).items()}
