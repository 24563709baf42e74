"""What an executor has to do, and what it did."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field

from harness.core.errors import HarnessError, ThreatModelViolation
from harness.plan import Job, Plan
from harness.store import Store


@dataclass
class Outcome:
    """What a run did."""

    computed: int = 0
    """Cells computed now."""
    stored: int = 0
    """Cells that had a record already."""
    left_out: int = 0
    """Cells of models whose weights are missing."""
    failures: dict[str, str] = field(default_factory=dict)
    """Cell id to reason, as the store keeps it."""
    violations: int = 0
    """Cells whose attack left its threat model."""
    seconds: float = 0.0
    """Wall time."""

    @property
    def exit_code(self) -> int:
        """0 fine, 1 some cells failed or were left out, 4 an attack broke its threat model."""
        return ThreatModelViolation.exit_code if self.violations else int(bool(self.failures or self.left_out))


def todo(plan: Plan, store: Store) -> list[tuple[Job, list[int]]]:
    """The jobs that have cells without a record, with the positions of those cells; each cell once."""
    claimed: set[str] = set()
    work = []
    for job in plan.jobs:
        missing = []
        for position, cell in enumerate(job.cells):
            if cell.id not in store and cell.id not in claimed:
                claimed.add(cell.id)
                missing.append(position)
        if missing:
            work.append((job, missing))
    return work


def reason_of(error: Exception) -> str:
    """What is kept about a failure: what the user can fix as it is told, else kind and message above a traceback."""
    if isinstance(error, HarnessError):
        return str(error)
    kind, message = type(error).__name__, str(error).strip()
    said = f"{kind}: {message}" if message else kind
    return f"{said}\n\n{''.join(traceback.format_exception(error))}".rstrip()


def describe(plan: Plan, job: Job) -> str:
    """A job in a few words, for the progress line."""
    label = plan.models[job.surrogate].entry.label
    if job.craft is None:
        return f"clean predictions of {plan.models[job.cells[0].target].entry.label}"
    return f"{job.cells[0].attack} {job.craft.threat.label} on {label}"
