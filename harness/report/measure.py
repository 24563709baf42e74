"""One cell to one estimate: which images count, and what share of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.cells import Cell, DatasetEntry
from harness.metrics import METRICS
from harness.metrics.counting import Mask, correct_by_all, correct_when_clean
from harness.metrics.estimate import Estimate, wilson
from harness.report.evidence import Evidence
from harness.report.table import Missing
from harness.report.words import CLEAN_RATES
from harness.store import Record


class Measurement(NamedTuple):
    """What a cell says about a metric."""

    estimate: Estimate | None
    """None when it is missing."""
    missing: Missing = ""
    """Why."""
    detail: str = ""
    """One line more about why."""


def measure(cell: Cell, metric: str, denominator: str, data: DatasetEntry, evidence: Evidence) -> Measurement:
    """A metric of a cell over the images that count: those of the denominator among those that the data set keeps.

    A clean accuracy is always over all images.

    Args:
        cell: what to measure.
        metric: a name of METRICS.
        denominator: all, own-correct, surrogate-correct or common-correct.
        data: the cell's data set, with the images that its tables keep.
        evidence: the records.
    """
    record = evidence.record(cell)
    if record is None:
        return _without_record(cell, evidence)
    conditions = _conditions(metric, denominator, data)
    if quick := _from_aggregates(record, metric, conditions):
        return quick
    counted = counted_outcomes(cell, metric, denominator, data, evidence)
    if isinstance(counted, Measurement):
        return counted
    return Measurement(METRICS.get(metric)(counted)) if len(counted) else Measurement(None, "undefined")


def counted_outcomes(
    cell: Cell, metric: str, denominator: str, data: DatasetEntry, evidence: Evidence
) -> pd.DataFrame | Measurement:
    """The samples of a cell that count for a metric, or the measurement that is missing; see `measure`."""
    if evidence.record(cell) is None:
        return _without_record(cell, evidence)
    outcomes = evidence.outcomes(cell)
    mask = np.ones(len(outcomes), dtype=np.bool_)
    for condition in _conditions(metric, denominator, data):
        counted = _mask(condition, cell, outcomes, evidence)
        if isinstance(counted, Measurement):
            return counted
        mask &= counted
    return outcomes[mask]


def _without_record(cell: Cell, evidence: Evidence) -> Measurement:
    if failure := evidence.failure(cell):
        return Measurement(None, "failed", failure)
    models = [evidence.cells.model(name) for name in dict.fromkeys((cell.surrogate, cell.target))]
    absent = [model.description.id for model in models if model.left_out]
    return Measurement(None, "not run", f"no weights of {' and '.join(absent)}" if absent else "")


def _conditions(metric: str, denominator: str, data: DatasetEntry) -> list[str]:
    if metric in CLEAN_RATES:
        return []
    keep = {"all-correct": "common-correct"}.get(data.keep, data.keep)
    return [condition for condition in dict.fromkeys((keep, denominator)) if condition != "all"]


def _from_aggregates(record: Record, metric: str, conditions: list[str]) -> Measurement | None:
    """Rates that the record's own values determine, without reading its samples; None for the others."""
    n, values = record.n, record.values
    if metric == "attack_success_rate" and conditions == ["own-correct"]:
        own = round(values["clean_accuracy"] * n)
        return Measurement(wilson(round(values[metric] * own), own)) if own else Measurement(None, "undefined")
    if conditions:
        return None
    if metric in ("clean_accuracy", "robust_accuracy"):
        return Measurement(wilson(round(values[metric] * n), n))
    if metric == "clean_error":
        return Measurement(wilson(n - round(values["clean_accuracy"] * n), n))
    untargeted = record.question.goal == "untargeted"
    if metric == "robust_error" or (metric == "attack_success_rate" and untargeted):
        return Measurement(wilson(n - round(values["robust_accuracy"] * n), n))
    return None


def _mask(condition: str, cell: Cell, outcomes: pd.DataFrame, evidence: Evidence) -> Mask | Measurement:
    """The samples that meet a condition, or the measurement that is missing because a model has no record."""
    if condition == "own-correct":
        return correct_when_clean(outcomes)
    names = [cell.surrogate] if condition == "surrogate-correct" else evidence.models_on(cell.dataset)
    if lacking := [name for name in names if evidence.clean_correct(name, cell.dataset) is None]:
        return Measurement(None, "not run", f"no clean predictions of {', '.join(lacking)}")
    counted = correct_by_all(outcomes, [evidence.clean_correct_by_all(names, cell.dataset)])
    # Given images in another model's geometry, a target may err where it does not in its own.
    return counted if condition == "surrogate-correct" else counted & correct_when_clean(outcomes)
