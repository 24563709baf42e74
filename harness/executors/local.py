"""Run jobs in this process, one after the other, and file their records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from harness.attacks import as_float
from harness.core.errors import HarnessError, ThreatModelViolation
from harness.environment import environment
from harness.executors.batches import Outcomes, halving
from harness.executors.finished import clean_predictions, finished_everywhere
from harness.executors.loaded import Loaded
from harness.executors.outcome import Outcome, describe, reason_of, todo
from harness.judging import Arena, run_clean
from harness.keeping import Keeper
from harness.metrics.flags import flags_of
from harness.metrics.summary import summarize
from harness.models.examination import EXAMINED_IMAGES, examine
from harness.plan import Job, Plan
from harness.store import Record, Store

Progress = Callable[[float], None]
"""Told how many of the plan's estimated seconds were finished."""


@dataclass
class LocalExecutor:
    """Jobs on one device of this machine."""

    plan: Plan
    store: Store
    device: torch.device
    progress: Progress = lambda seconds: None
    describe: Callable[[str], None] = lambda text: None
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        """What lives as long as the run."""
        self._loaded = Loaded(self.plan, self.device)

    def run(self) -> Outcome:
        """Compute every cell that has no record. A cell that fails is noted, and the others still run."""
        begin = time.perf_counter()
        work = todo(self.plan, self.store)
        left_out = self.plan.cells.left_out()
        stored = len(self.plan.cells.ids() - left_out) - sum(len(positions) for _, positions in work)
        self.outcome = Outcome(stored=stored, left_out=len(left_out))
        for job, positions in work:
            self.describe(describe(self.plan, job))
            self._attempt(job, positions)
        self.outcome.seconds = time.perf_counter() - begin
        return self.outcome

    def _attempt(self, job: Job, positions: Sequence[int]) -> None:
        """Run a job; whatever goes wrong in it is a failure of its cells alone."""
        told = 0.0

        def advance(seconds: float) -> None:
            nonlocal told
            told += seconds
            self.progress(seconds)

        positions = self._with_clean_predictions(job, self._left(job, positions))
        try:
            if job.craft is None and positions:
                self._run_clean(job)
            elif positions:
                self._run_craft(job, positions, advance)
        except Exception as error:  # noqa: BLE001 - a defect in one attack or model must not cost the other cells
            self._fail(job, positions, error)
        else:
            self.outcome.computed += len(positions)
        self.progress(job.seconds - told)

    def _left(self, job: Job, positions: Sequence[int]) -> list[int]:
        """The cells that no other process has finished meanwhile; the others count as stored."""
        left = [position for position in positions if job.cells[position].id not in self.store]
        self.outcome.stored += len(positions) - len(left)
        return left

    def _with_clean_predictions(self, job: Job, positions: Sequence[int]) -> list[int]:
        """The cells whose targets have clean predictions; the others fail, for without these no cell can be judged."""
        if job.craft is None:
            return list(positions)
        able = []
        for position in positions:
            target, clean = job.cells[position].target, job.clean[position]
            if clean in self.store:
                able.append(position)
            else:
                reason, _, _ = (self.store.failure(clean) or "unknown").partition("\n")
                self._fail(job, [position], HarnessError(f'"{target}" has no clean predictions: {reason}'))
        return able

    def _fail(self, job: Job, positions: Sequence[int], error: Exception) -> None:
        """Remember why cells have no record."""
        reason = reason_of(error)
        for position in self._left(job, positions):
            id = job.cells[position].id
            self.store.fail(id, reason)
            self.outcome.failures[id] = reason
            if isinstance(error, ThreatModelViolation):
                self.store.discard(id)
                self.outcome.violations += 1

    def _run_clean(self, job: Job) -> None:
        begin = time.perf_counter()
        model, arena = self._loaded.target(job, 0), self._loaded.arena(job.dataset, job.surrogate)
        images = as_float(arena.images[:EXAMINED_IMAGES])
        flags: dict[str, int] = {}

        def predict_and_examine(arena: Arena, finished: npt.NDArray[np.bool_]) -> Iterator[Outcomes]:
            outcomes = run_clean(model, arena)
            # A model is examined once, on images in its own geometry.
            flags.update({} if job.is_carried else examine(model, images, arena.batch_size))
            yield {"clean": outcomes}

        batches = predict_and_examine if job.fixed_batches else partial(halving, predict_and_examine)
        (batch,) = batches(arena, np.zeros(len(arena.dataset.indices), dtype=bool))
        if model.batch_dependent:
            # Known, allowed for, and said in a note.
            flags.pop("batch_dependent", None)
        flags.update(flags_of(batch["clean"]))
        seconds, values = time.perf_counter() - begin, summarize(batch["clean"])
        self._file(job, 0, batch["clean"], seconds, flags, values, examined=0 if job.is_carried else len(images))

    def _run_craft(self, job: Job, positions: Sequence[int], advance: Progress) -> None:
        assert job.craft is not None
        begin = time.perf_counter()
        arena = self._loaded.arena(job.dataset, job.surrogate)
        cells = {job.cells[i].id: job.cells[i] for i in positions}
        parts = {id: [] if (done := self.store.partial(id)) is None else [done] for id in cells}
        finished = finished_everywhere(parts, arena)
        targets = {job.cells[i].id: self._loaded.target(job, i) for i in positions}
        clean = {job.cells[i].id: clean_predictions(self.store, job.clean[i], arena) for i in positions}
        share = job.seconds / len(finished)
        advance(share * int(finished.sum()))
        keeper = Keeper(self.store.images(job.crafting), self.plan.suite.keep_images)
        run = partial(job.craft.run, self._loaded.surrogate(job), targets, clean, keeper=keeper)
        batches = run if job.fixed_batches else partial(halving, run)
        for batch in batches(arena, finished):
            for id, outcomes in batch.items():
                self.store.append(id, outcomes)
                parts[id].append(outcomes)
            advance(share * len(next(iter(batch.values()))))
        for position in positions:
            everything = pd.concat(parts[job.cells[position].id], ignore_index=True).drop_duplicates("index")
            # Only where samples stop at their first success is the member that made the image the only one to fool.
            members = job.craft.attack.attack.members if job.craft.whitebox else ()
            flags, values = flags_of(everything, members), summarize(everything, members)
            self._file(job, position, everything, time.perf_counter() - begin, flags, values)

    def _file(
        self,
        job: Job,
        position: int,
        outcomes: pd.DataFrame,
        seconds: float,
        flags: dict[str, int],
        values: dict[str, float],
        examined: int = 0,
    ) -> None:
        """Write a cell's record."""
        cell, models = job.cells[position], self.plan.models
        record = Record(
            id=cell.id,
            question=job.questions[position],
            target=models[cell.target].entry.description,
            surrogate=models[cell.surrogate if job.craft else cell.target].entry.description,
            dataset=cell.dataset,
            passed=job.craft.attack.passed if job.craft else {},
            n=len(outcomes),
            values=values,
            flags=flags,
            examined=examined,
            environment=self._environment,
            wall_seconds=seconds,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if cell.id in self.store:
            # Another process, which may be reading its record, was faster.
            self.store.discard(cell.id)
        else:
            self.store.write(record, outcomes)

    @cached_property
    def _environment(self) -> dict[str, Any]:
        compiled = {"compile": True} if self.plan.suite.compile else {}
        return {**environment(self.device), **compiled}
