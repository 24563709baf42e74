"""Run a suite: plan it, compute what is missing, and hand back its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.cells import Cells, cells_path, read_cells, write_cells
from harness.core.bfloat16 import SLOW, is_slow_in_bfloat16
from harness.core.errors import HarnessError
from harness.executors.local import LocalExecutor
from harness.executors.outcome import Outcome, todo
from harness.plan import Options, Plan, make_plan
from harness.report import Report, render
from harness.store import Store
from harness.store.files import writing


@dataclass(frozen=True)
class Results:
    """A suite that was run."""

    plan: Plan
    store: Store
    outcome: Outcome

    def __repr__(self) -> str:
        """Whose results, how many and where: all that the plan holds would fill pages."""
        done = f"{self.outcome.computed} computed, {self.outcome.stored} stored, {len(self.outcome.failures)} failed"
        return f"Results({self.plan.suite.name!r}, {done}, store={str(self.store.path)!r})"

    def report(self) -> Report:
        """Its tables, from the store."""
        return render(self.plan.suite, self.plan.cells, self.store)

    def frame(self) -> pd.DataFrame:
        """One row per finished cell: its names, the aggregates and flags of its record, n and the record's id."""
        rows = []
        for cell in self.plan.cells.cells:
            if cell.id in self.store:
                record = self.store.read(cell.id)
                names = cell.model_dump(exclude={"id"})
                rows.append({**names, **record.values, "flags": record.flags, "n": record.n, "id": cell.id})
        return pd.DataFrame(rows)

    def outcomes(self, id: str) -> pd.DataFrame:
        """What happened to every sample of a cell. Raises HarnessError when no record has this id."""
        if id not in self.store:
            raise HarnessError(f'no record "{id}" in {self.store.path}; ids are in results.frame()["id"]')
        return self.store.outcomes(id)


def run(
    suite: str | Path,
    *,
    overrides: Sequence[str] = (),
    limit: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    store: str | Path | None = None,
    download: bool = False,
    random_weights: bool = False,
    available: bool = False,
    quiet: bool = True,
) -> Results:
    """Plan a suite, compute what is missing and return its results.

    Args:
        suite: a TOML file or the name of a shipped suite.
        overrides: changes such as "attacks.0.steps=5".
        limit: use at most this many images.
        seed: replaces the suite's seeds.
        device: "cpu", "cuda", "cuda:1", ... or "auto" for a GPU if there is one.
        store: folder of records; default HARNESS_STORE, else `.harness`.
        download: allow data sets to be downloaded.
        random_weights: a trial without weights: networks of torchvision and timm are built with random ones.
        available: leave out the models whose weights are not on this machine.
        quiet: show no progress.

    Raises:
        HarnessError: when there is no such file, device or store.
        Problems: with every mistake in the suite file, before anything is computed.
    """
    chosen = choose_device(device)
    plan = make_plan(suite, Options(tuple(overrides), limit, seed, download, random_weights, available))
    return execute(plan, Store(store), chosen, Console(stderr=True, quiet=quiet))


def choose_device(name: str) -> torch.device:
    """The device under a name. Raises HarnessError when it does not exist here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise HarnessError(f"--device {name}: write cpu, cuda, cuda:0, ... or auto") from None
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= count):
        devices = f"{count or 'no'} CUDA device{'' if count == 1 else 's'}"
        raise HarnessError(f"--device {name}: this machine has {devices}; write cpu or auto")
    return device


def execute(plan: Plan, store: Store, device: torch.device, console: Console) -> Results:
    """Compute what is missing, with progress over the whole suite when the console is a terminal."""
    if plan.suite.precision != "float32" and is_slow_in_bfloat16(device):
        console.print(f"{SLOW}: --set precision=float32 is faster", highlight=False)
    store.open()
    if other := _other_file(store, plan.cells):
        console.print(
            f"suite {plan.suite.name} was last run from another file, {other}: its tables are replaced; "
            "give each suite its own `name` to keep both",
            style="yellow",
        )
    with writing(store.path):
        write_cells(store, plan.cells)
    work = todo(plan, store)
    columns = (
        BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("eta"), TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not (work and console.is_terminal)) as progress:
        task = progress.add_task("", total=sum(job.seconds for job, _ in work))
        executor = LocalExecutor(
            plan, store, device,
            progress=lambda seconds: progress.advance(task, seconds),
            describe=lambda text: progress.update(task, description=text),
        )  # fmt: skip
        outcome = executor.run()
    return Results(plan, store, outcome)


def _other_file(store: Store, cells: Cells) -> str:
    """The file of another suite of this name that was run with the store before; empty if there is none."""
    try:
        before = read_cells(store, cells.suite).asked if cells_path(store, cells.suite).exists() else None
    except HarnessError:  # made anew
        return ""
    now = cells.asked
    if not before or not now or before.content in ("", now.content):
        return ""
    return "" if Path(before.path).resolve() == Path(now.path).resolve() else before.path


def plan_summary(plan: Plan, store: Store) -> dict[str, Any]:
    """What would run and what is stored, for `harness plan`."""
    work = todo(plan, store)
    missing = {job.cells[i].id for job, positions in work for i in positions}
    return {
        "suite": plan.suite.name,
        "cells": len(plan.cells.ids()),
        "stored": len(plan.cells.ids() - missing - plan.cells.left_out()),
        "missing": len(missing),
        "passes": sum(job.passes for job, _ in work),
        "random_weights": [name for name, model in plan.models.items() if model.entry.description.random_weights],
        "left_out": len(plan.cells.left_out()),
        "without_weights": [model.name for model in plan.cells.models if model.left_out],
        "seconds_at_most": round(sum(job.seconds for job, _ in work), 1),
        "jobs": [
            {
                "mode": job.cells[0].mode,
                "attack": job.cells[0].attack,
                "threat": job.cells[0].threat,
                "surrogate": job.surrogate,
                "dataset": job.dataset,
                "seed": job.cells[0].seed,
                "targets": [cell.target for cell in job.cells],
                "stored": sum(cell.id not in missing for cell in job.cells),
                "passes": job.passes,
                "arguments": job.questions[0].arguments,
            }
            for job in plan.jobs
        ],
    }
