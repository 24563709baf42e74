"""The warning signs behind a table: which models raised which, and what that means, in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.cells import Cell
from harness.metrics.flags import FLAGS
from harness.report.evidence import Evidence
from harness.report.table import Raised, Table
from harness.store import Record


def raised_by(table: Table, evidence: Evidence) -> tuple[Raised, ...]:
    """The flags of a table's cells and of all models that have a part in them."""
    shown: dict[tuple[str, str], list[Raised]] = {}
    for one in (*_of_models(table, evidence), *_of_cells(table, evidence)):
        shown.setdefault((one.flag, one.model), []).append(one)
    names = [entry.name for entry in evidence.cells.models]
    order = [(flag, name) for flag in FLAGS for name in names if (flag, name) in shown]
    return tuple(_worst(shown[key]) for key in order)


def sentences(raised: Sequence[Raised]) -> Iterator[str]:
    """One per flag: what was seen on which models, and what to do."""
    for name, flag in FLAGS.items():
        where: dict[str, list[str]] = {}
        for one in raised:
            if one.flag == name:
                where.setdefault(_extent(one), []).append(one.model)
        if where:
            places = "; ".join(f"{', '.join(models)}: {extent}" for extent, models in where.items())
            yield f"{name}: {flag.meaning} ({places}); {flag.advice}."


def _of_models(table: Table, evidence: Evidence) -> Iterator[Raised]:
    """What models showed when they were examined, as their clean cells remember it."""
    shown = {(name, cell.dataset) for cell in _cells_of(table) for name in (cell.surrogate, cell.target)}
    for cell in evidence.cells.cells:
        if cell.mode == "clean" and (cell.target, cell.dataset) in shown and (record := evidence.record(cell)):
            for flag, count in record.flags.items():
                if (of := _asked(flag, record)) is not None:
                    yield Raised(flag, cell.target, count, of, 0)


def _asked(flag: str, record: Record) -> int | None:
    """On how many images a model could show a flag by itself; None for flags of attacked cells."""
    return {"model": record.examined, "predictions": record.n}.get(FLAGS[flag].shown_by)


def _of_cells(table: Table, evidence: Evidence) -> Iterator[Raised]:
    for cell in _cells_of(table):
        if record := evidence.record(cell):
            for flag, count in record.flags.items():
                if _asked(flag, record) is None:
                    yield Raised(flag, getattr(cell, FLAGS[flag].shown_by), count, record.n, 1)


def _cells_of(table: Table) -> list[Cell]:
    """Each cell once; those of a model that has two names are two, though they share their records."""
    return list(dict.fromkeys(run.cell for entry in table.entries for run in entry.runs))


def _worst(found: Sequence[Raised]) -> Raised:
    """One for all cells of a model: targets of one crafting share its samples, so that sums would count them twice."""
    worst = max(found, key=lambda one: one.images)
    return Raised(worst.flag, worst.model, worst.images, worst.of, sum(one.cells for one in found))


def _extent(raised: Raised) -> str:
    share = f"{raised.images} of {raised.of} images"
    if FLAGS[raised.flag].shown_by == "predictions":
        return f"{share} wrong"
    match raised.cells:
        case 0:
            return f"{share} examined"
        case 1:
            return f"{share} in 1 cell"
        case cells:
            return f"up to {share} in {cells} cells"
