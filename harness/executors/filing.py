"""From what was measured to a record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pandas as pd

from harness.plan import Job, Plan
from harness.store import Record


class Measured(NamedTuple):
    """What came out of a cell."""

    outcomes: pd.DataFrame
    """What happened to every sample."""
    seconds: float
    """Wall time."""
    flags: dict[str, int]
    """Warning signs, with the number of samples that show each."""
    values: dict[str, float]
    """Aggregates."""
    examined: int = 0
    """Images on which the model was examined."""


def record_of(plan: Plan, job: Job, position: int, measured: Measured, environment: Mapping[str, Any]) -> Record:
    """The record of one cell of a job."""
    cell, models = job.cells[position], plan.models
    return Record(
        id=cell.id,
        question=job.questions[position],
        target=models[cell.target].entry.description,
        surrogate=models[cell.surrogate if job.craft else cell.target].entry.description,
        dataset=cell.dataset,
        passed=job.craft.attack.passed if job.craft else {},
        n=len(measured.outcomes),
        values=measured.values,
        flags=measured.flags,
        examined=measured.examined,
        environment=dict(environment),
        wall_seconds=measured.seconds,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
