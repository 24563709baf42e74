"""A suite's records as a baseline, and the cells that have none."""

from __future__ import annotations

from typing import Any, NamedTuple

import harness
from harness.cells import Cell, Cells
from harness.check.baseline import Baseline, CellName, Entry, Images
from harness.check.packing import pack_indices, pack_verdicts
from harness.check.rule import Rule
from harness.metrics.counting import correct_under_attack, correct_when_clean
from harness.report.evidence import Evidence
from harness.store import Record, Store

DECIMALS = 6
"""Of aggregates, so that rounding on another machine does not show in a diff."""


class Taken(NamedTuple):
    """What the records of a suite's last plan say."""

    baseline: Baseline
    """The cells that have a record."""
    missing: dict[CellName, str]
    """Why the others have none: "not run", or how they failed."""


def take(cells: Cells, store: Store, rule: Rule) -> Taken:
    """Read the records of a suite's cells. Raises HarnessError when one is damaged."""
    evidence = Evidence(cells, store)
    models: dict[str, str] = {}
    images: dict[str, Images] = {}
    environments: list[dict[str, Any]] = []
    entries: dict[CellName, Entry] = {}
    missing: dict[CellName, str] = {}
    for cell in cells.cells:
        name, record = name_of(cell), evidence.record(cell)
        if record is None:
            failure = evidence.failure(cell)
            missing[name] = f"failed: {failure}" if failure else "not run"
            continue
        entries[name], images[record.question.dataset] = _entry(name, record, evidence.outcomes(cell))
        models |= {model.fingerprint: model.id for model in (record.surrogate, record.target)}
        if (environment := summary(record.environment)) not in environments:
            environments.append(environment)
    taken = Baseline(
        suite=cells.suite, harness=harness.__version__, rule=rule, environments=environments, models=models,
        images=images, cells=list(entries.values()),
    )  # fmt: skip
    return Taken(taken, missing)


def name_of(cell: Cell) -> CellName:
    """How the suite names a cell."""
    return CellName(
        mode=cell.mode, attack=cell.attack, threat=cell.threat, dataset=cell.dataset,
        seed=0 if cell.mode == "clean" else cell.seed, surrogate=cell.surrogate, target=cell.target,
    )  # fmt: skip


def summary(environment: dict[str, Any]) -> dict[str, Any]:
    """Of a record's environment what a baseline keeps."""
    known = {**environment, "torch": environment.get("packages", {}).get("torch")}
    return {key: known[key] for key in ("harness", "commit", "dirty", "python", "torch", "device") if known.get(key)}


def _entry(name: CellName, record: Record, outcomes: Any) -> tuple[Entry, Images]:
    judged = correct_when_clean if name.mode == "clean" else correct_under_attack
    entry = Entry(
        name=name,
        question=record.question,
        values={key: round(value, DECIMALS) for key, value in record.values.items()},
        correct=pack_verdicts(judged(outcomes)),
    )
    return entry, Images(dataset=name.dataset, n=len(outcomes), indices=pack_indices(outcomes["index"]))
