"""From a suite to jobs: every name resolved, every default filled in, every id derived.

Planning loads models and data, asks each model about a few images, and collects every mistake; it attacks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.asked import Asked
from harness.cells import Cells
from harness.core.errors import Problems
from harness.data import ChosenImages
from harness.plan.attacks import Variant, describe_threats, plan_attacks, plan_threats
from harness.plan.batches import check_batches
from harness.plan.claims import check_claim_facets, check_claims
from harness.plan.datasets import describe_dataset, plan_datasets
from harness.plan.job import Job
from harness.plan.jobs import JobMaker, in_running_order
from harness.plan.left_out import without
from harness.plan.mistakes import Mistakes
from harness.plan.models import PlannedModel, open_model, plan_models
from harness.plan.options import Options
from harness.plan.papers import check_papers
from harness.plan.sections import Section, plan_sections
from harness.plan.tables import check_facets, check_tables
from harness.plan.untrained import without_weights
from harness.spec import Reading, Suite, content_sha256, read_suite
from harness.spec.files import shipped_suites

__all__ = ["Job", "Options", "Plan", "PlannedModel", "make_plan", "open_model"]


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know."""

    suite: Suite
    """What was asked for."""
    path: str
    """The suite's file."""
    datasets: Mapping[str, ChosenImages]
    """Images by label."""
    models: Mapping[str, PlannedModel]
    """Models by suite name."""
    jobs: tuple[Job, ...]
    """The work, clean predictions before the attacks on them; none on models that are left out."""
    cells: Cells
    """The points of the suite's matrix, as reports know them."""


def make_plan(name: str | Path, options: Options = Options()) -> Plan:
    """Plan a suite.

    Raises:
        HarnessError: when there is no such file, or it is not TOML.
        Problems: with every mistake in the suite file.
    """
    reading = read_suite(name, options.overrides)
    asked = asked_for(name, reading, options)
    if options.seed is not None:
        reading = replace(reading, suite=reading.suite.model_copy(update={"seeds": [options.seed]}))
    if options.random_weights:
        untrained = [without_weights(model) for model in reading.suite.models]
        reading = replace(reading, suite=reading.suite.model_copy(update={"models": untrained}))
    mistakes = Mistakes(reading.problems)
    datasets = plan_datasets(reading, options, mistakes)
    threats = plan_threats(reading, mistakes)
    models = plan_models(reading, list(datasets.values()), options, mistakes)
    variants = plan_attacks(reading, threats, mistakes)
    sections = plan_sections(reading, variants, threats, mistakes)
    check_batches(reading, models, sections, mistakes)
    check_papers(reading, mistakes)
    if not mistakes.only_in_report:
        check_facets(reading, mistakes)
        check_claim_facets(reading, mistakes)
        raise Problems(reading.path, mistakes.told, advice=mistakes.advice)
    plan = assemble(reading, datasets, models, variants, sections, asked)
    check_tables(reading, plan.cells, mistakes)
    check_claims(reading, plan.cells, mistakes)
    if mistakes.found:
        raise Problems(reading.path, mistakes.told, advice=mistakes.advice)
    return plan


def asked_for(name: str | Path, reading: Reading, options: Options) -> Asked:
    """What the reports' command says: a suite that is found by its name goes by it, wherever that file is.

    `reading` is of the file as it is, the options not yet applied to it.
    """
    path = Path(reading.path)
    by_name = shipped_suites().get(path.stem) == path
    return Asked(
        path=f"suites/{path.name}" if by_name else str(name), limit=options.limit, seed=options.seed,
        overrides=list(options.overrides), random_weights=options.random_weights, available=options.available,
        content=content_sha256(reading.suite),
    )  # fmt: skip


def assemble(
    reading: Reading,
    datasets: Mapping[str, ChosenImages],
    models: Mapping[str, PlannedModel],
    variants: list[Variant],
    sections: list[Section],
    asked: Asked,
) -> Plan:
    """The plan of a suite without mistakes."""
    suite = reading.suite
    jobs = tuple(
        job for label, images in datasets.items() for job in JobMaker(suite, label, images, models).jobs(sections)
    )
    planned = [(job, cell) for job in jobs for cell in job.cells]
    cells = Cells(
        suite=suite.name,
        models=[model.entry for model in models.values()],
        datasets=[
            describe_dataset(label, images, spec)
            for (label, images), spec in zip(datasets.items(), suite.datasets, strict=True)
        ],
        attacks=[variant.entry for variant in variants],
        threats=describe_threats(suite.threats),
        cells=[cell for job, cell in planned if not job.is_carried],
        carried=[cell for job, cell in planned if job.is_carried],
        asked=asked,
    )
    absent = [entry.name for entry in cells.models if entry.left_out]
    ordered = in_running_order(without(jobs, absent), models)
    return Plan(suite, reading.path, datasets, models, tuple(ordered), cells)
