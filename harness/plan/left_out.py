"""A suite without the models whose weights are not here: their cells stay in its tables, and never run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from harness.core.errors import Unavailable
from harness.plan.untrained import LIBRARIES, without_weights
from harness.spec import ModelSpec

if TYPE_CHECKING:
    from harness.plan.job import Job
    from harness.plan.models import PlannedModel

SOURCES = ("zoo", *LIBRARIES)
"""Whose networks are known without weights."""


def or_left_out(plan: Callable[[ModelSpec], PlannedModel], spec: ModelSpec) -> PlannedModel:
    """The planned model; one whose weights are not here is planned by its untrained network, and marked.

    Raises:
        HarnessError: when there is another mistake about it, or its network is not known without its weights.
    """
    try:
        return plan(spec)
    except Unavailable:
        untrained = without_weights(spec, SOURCES)
        if untrained == spec:
            raise
        stand_in = plan(untrained)
        # Another question than any that can be asked: no record of an untrained network will answer it.
        nothing = hashlib.sha256(f"not available: {spec.id}".encode()).hexdigest()
        description = stand_in.entry.description.model_copy(
            update={"id": spec.id, "fingerprint": nothing, "random_weights": False}
        )
        entry = stand_in.entry.model_copy(update={"description": description, "left_out": True})
        return stand_in._replace(spec=spec, entry=entry)


def without(jobs: Iterable[Job], models: Iterable[str]) -> Iterator[Job]:
    """The jobs as far as they can be done without some models."""
    absent = set(models)
    for job in jobs:
        positions = [i for i, cell in enumerate(job.cells) if not absent & {cell.surrogate, cell.target}]
        if positions:
            yield job.only(positions)
