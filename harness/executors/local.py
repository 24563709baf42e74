"""Run jobs in this process, one after the other, and file their records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
from harness.executors.claims import Claims
from harness.executors.filing import Measured, record_of
from harness.executors.finished import clean_predictions, finished_everywhere
from harness.executors.loaded import Loaded
from harness.executors.outcome import Outcome, describe, reason_of, todo
from harness.executors.sharing import share
from harness.judging import Arena, run_clean
from harness.keeping import Keeper
from harness.metrics.flags import flags_of, near_chance
from harness.metrics.summary import summarize
from harness.models.examination import EXAMINED_IMAGES, examine
from harness.plan import Job, Plan
from harness.store import Store

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
        self._claims = Claims(self.store.path / "claims")

    def run(self) -> Outcome:
        """Compute every cell that has no record. A cell that fails is noted, and the others still run."""
        begin = time.perf_counter()
        work = todo(self.plan, self.store)
        left_out = self.plan.cells.left_out()
        stored = len(self.plan.cells.ids() - left_out) - sum(len(positions) for _, positions in work)
        self.outcome = Outcome(stored=stored, left_out=len(left_out))
        waiting = "waiting for another process: "
        share(work, self._claims, self._attempt, lambda job: self.describe(waiting + describe(self.plan, job)))
        self.outcome.seconds = time.perf_counter() - begin
        return self.outcome

    def _attempt(self, job: Job, positions: Sequence[int]) -> None:
        """Run a job; whatever goes wrong in it is a failure of its cells alone."""
        self.describe(describe(self.plan, job))
        told = 0.0

        def advance(seconds: float) -> None:
            nonlocal told
            told += seconds
            self.progress(seconds)
            self._claims.renew()

        able = self._with_clean_predictions(job, self._left(job, positions))
        try:
            if job.craft is None and able:
                self._run_clean(job)
            elif able:
                self._run_craft(job, able, advance)
        except Exception as error:  # noqa: BLE001 - a defect in one attack or model must not cost the other cells
            self._fail(job, able, error)
        else:
            self.outcome.computed += len(able)
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
                reason = (self.outcome.failures.get(clean) or self.store.failure(clean) or "unknown").splitlines()[0]
                self._fail(job, [position], HarnessError(f'"{target}" has no clean predictions: {reason}'))
        return able

    def _fail(self, job: Job, positions: Sequence[int], error: Exception) -> None:
        """Remember why cells have no record."""
        reason = reason_of(error)
        for position in self._left(job, positions):
            id = job.cells[position].id
            self.outcome.failures[id] = reason
            self.store.fail(id, reason)
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
        if self._should_know(job):
            flags.update(near_chance(batch["clean"], self.plan.models[job.surrogate].classes))
        seconds, values = time.perf_counter() - begin, summarize(batch["clean"])
        self._file(job, 0, Measured(batch["clean"], seconds, flags, values, 0 if job.is_carried else len(images)))

    def _should_know(self, job: Job) -> bool:
        """Whether a model is to recognize the images: with trained weights, in its own geometry, and no feature set."""
        (origin,) = (entry.origin for entry in self.plan.cells.datasets if entry.label == job.dataset)
        random = self.plan.models[job.surrogate].entry.description.random_weights
        return not (job.is_carried or origin or random)

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
            self._file(job, position, Measured(everything, time.perf_counter() - begin, flags, values))

    def _file(self, job: Job, position: int, measured: Measured) -> None:
        """Write a cell's record."""
        cell = job.cells[position]
        if cell.id in self.store:
            # Another process, which may be reading its record, was faster.
            self.store.discard(cell.id)
        else:
            record = record_of(self.plan, job, position, measured, self._environment)
            self.store.write(record, measured.outcomes)

    @cached_property
    def _environment(self) -> dict[str, Any]:
        compiled = {"compile": True} if self.plan.suite.compile else {}
        return {**environment(self.device), **compiled}
