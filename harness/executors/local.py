"""Run jobs in this process, one after the other, and file their records."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from harness.cells import Cell
from harness.core.errors import HarnessError, ThreatModelViolation
from harness.environment import environment
from harness.job import Arena, run_clean
from harness.metrics.summary import summarize
from harness.models.classifier import Classifier
from harness.plan import Job, Plan, open_model
from harness.store import Question, Record, Store

MODELS_KEPT = 8
"""Models that stay loaded between jobs."""

Progress = Callable[[float], None]
"""Told the share of the plan's estimated seconds that was finished."""


@dataclass
class Outcome:
    """What a run did."""

    computed: int = 0
    """Cells computed now."""
    stored: int = 0
    """Cells that had a record already."""
    failures: dict[str, str] = field(default_factory=dict)
    """Cell id to reason."""
    violations: int = 0
    """Cells whose attack left its threat model."""
    seconds: float = 0.0
    """Wall time."""

    @property
    def exit_code(self) -> int:
        """0 fine, 1 some cells failed, 4 an attack broke its threat model."""
        return ThreatModelViolation.exit_code if self.violations else int(bool(self.failures))


def todo(plan: Plan, store: Store) -> list[tuple[Job, list[int]]]:
    """The jobs that have cells without a record, with the positions of those cells; each cell once."""
    claimed: set[str] = set()
    work = []
    for job in plan.jobs:
        missing = [i for i, cell in enumerate(job.cells) if cell.id not in store and cell.id not in claimed]
        claimed |= {job.cells[i].id for i in missing}
        if missing:
            work.append((job, missing))
    return work


@dataclass
class LocalExecutor:
    """Jobs on one device of this machine."""

    plan: Plan
    store: Store
    device: torch.device
    progress: Progress = lambda seconds: None
    describe: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        """Caches that live as long as the run."""
        self._model = lru_cache(maxsize=MODELS_KEPT)(self._load)
        self._arena = lru_cache(maxsize=1)(self._open)

    @cached_property
    def _environment(self) -> dict[str, Any]:
        return environment(self.device)

    def run(self) -> Outcome:
        """Compute every cell that has no record. A cell that fails is noted, and the others still run."""
        begin = time.perf_counter()
        work = todo(self.plan, self.store)
        missing = sum(len(positions) for _, positions in work)
        outcome = Outcome(stored=len({cell.id for cell in self.plan.cells.cells}) - missing)
        for job, positions in work:
            self.describe(describe(self.plan, job))
            try:
                self._run_job(job, positions)
                outcome.computed += len(positions)
            except (HarnessError, RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
                reason = str(error) if isinstance(error, HarnessError) else traceback.format_exc()
                for position in positions:
                    self.store.fail(job.cells[position].id, reason)
                    outcome.failures[job.cells[position].id] = reason
                outcome.violations += len(positions) if isinstance(error, ThreatModelViolation) else 0
        outcome.seconds = time.perf_counter() - begin
        return outcome

    def _run_job(self, job: Job, positions: list[int]) -> None:
        begin = time.perf_counter()
        arena = self._arena(job.dataset)
        if job.craft is None:
            outcomes = run_clean(self._model(job.surrogate), arena)
            self._file(job.cells[0], job.questions[0], outcomes, time.perf_counter() - begin)
            self.progress(job.seconds)
            return
        cells = {job.cells[i].id: (job.cells[i], job.questions[i]) for i in positions}
        parts = {id: [] if (done := self.store.partial(id)) is None else [done] for id in cells}
        finished = finished_everywhere(parts, arena)
        targets = {id: self._model(cell.target) for id, (cell, _) in cells.items()}
        clean = {id: self._clean_predictions(cell.target, job.dataset) for id, (cell, _) in cells.items()}
        share = job.seconds / len(finished)
        self.progress(share * finished.sum())
        for batch in job.craft.run(self._model(job.surrogate), targets, clean, arena, finished):
            for id, outcomes in batch.items():
                self.store.append(id, outcomes)
                parts[id].append(outcomes)
            self.progress(share * len(next(iter(batch.values()))))
        for id, (cell, question) in cells.items():
            everything = pd.concat(parts[id], ignore_index=True).drop_duplicates("index")
            self._file(cell, question, everything, time.perf_counter() - begin)

    def _file(self, cell: Cell, question: Question, outcomes: pd.DataFrame, seconds: float) -> None:
        models = self.plan.models
        flags = {
            "zero_gradient": int(outcomes["zero_gradient"].sum()),
            "nonfinite_logits": int(((outcomes["adversarial_prediction"] < 0) | (outcomes["clean_prediction"] < 0)).sum()),
        }
        job = next(job for job in self.plan.jobs if cell in job.cells)
        record = Record(
            id=cell.id,
            question=question,
            target=models[cell.target].entry.description,
            surrogate=models[cell.surrogate].entry.description,
            dataset=cell.dataset,
            passed=job.craft.attack.passed if job.craft else {},
            n=len(outcomes),
            values=summarize(outcomes),
            flags={flag: count for flag, count in flags.items() if count},
            environment=self._environment,
            wall_seconds=seconds,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.store.write(record, outcomes)

    def _clean_predictions(self, model: str, dataset: str) -> npt.NDArray[np.int64]:
        """(N,) from the record of the clean cell, which runs first."""
        cell = next(c for c in self.plan.cells.cells if (c.mode, c.target, c.dataset) == ("clean", model, dataset))
        outcomes = self.store.outcomes(cell.id).set_index("index")["clean_prediction"]
        return outcomes.loc[self.plan.datasets[dataset].indices].to_numpy(dtype=np.int64)

    def _load(self, name: str) -> Classifier:
        return open_model(self.plan.models[name].spec).to(self.device)

    def _open(self, label: str) -> Arena:
        return Arena(self.plan.datasets[label], self.device, self.plan.suite.batch_size)


def finished_everywhere(parts: dict[str, list[pd.DataFrame]], arena: Arena) -> npt.NDArray[np.bool_]:
    """(N,) samples that have outcomes in every cell of a job."""
    done = np.ones(len(arena.dataset.indices), dtype=bool)
    for frames in parts.values():
        indices = np.concatenate([frame["index"].to_numpy() for frame in frames]) if frames else np.empty(0, dtype=np.int64)
        done &= np.isin(arena.dataset.indices, indices)
    return done


def describe(plan: Plan, job: Job) -> str:
    """A job in a few words, for the progress line."""
    label = plan.models[job.surrogate].entry.label
    if job.craft is None:
        return f"clean predictions of {label}"
    return f"{job.cells[0].attack} {job.craft.threat.label} on {label}"
