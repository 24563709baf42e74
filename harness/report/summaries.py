"""The last columns of a table: what sums up a row, or compares its entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.cells import Cell
from harness.metrics.agreement import agreement
from harness.metrics.estimate import Estimate, mean_over
from harness.report.axes import AGREEMENT, SPREAD
from harness.report.relation import MEANS_OVER
from harness.report.table import BLANK, Entry, Missing, Run

if TYPE_CHECKING:
    import pandas as pd

    Judge = Callable[[Cell, str], "pd.Series[bool]"]
    """A finished cell and a metric to the verdicts on the images that count."""

REASONS: tuple[Missing, ...] = ("failed", "not run", "undefined")
"""Why an entry is missing, the first that applies to one of its parts."""


def summary_of(name: str, entries: Sequence[Entry], metric: str, judge: Judge) -> Entry:
    """One of SUMMARIES over the entries of a row, all of one metric.

    It is missing as soon as an entry is: a mean over fewer compares with nothing, and a spread over fewer is too small.
    """
    planned = [entry for entry in entries if entry.missing != "not planned"]
    if not planned:
        return BLANK
    if name == SPREAD:
        return spread_entry(planned, metric)
    if name == AGREEMENT:
        return agreement_entry(planned, metric, judge)
    return mean_entry(planned, metric, over=name if name in MEANS_OVER else "")


def mean_entry(entries: Sequence[Entry], metric: str, over: str = "") -> Entry:
    """The mean; `over` names the part of the row that the entries are."""
    if missing := missing_of(entries):
        return Entry(metric, None, missing=missing, over=over)
    incomplete = any(entry.incomplete for entry in entries)
    return Entry(metric, mean_over(_estimates(entries)), incomplete=incomplete, over=over)


def spread_entry(entries: Sequence[Entry], metric: str) -> Entry:
    """The largest value minus the smallest, which has no interval."""
    runs, missing = _runs(entries), missing_of(entries, at_least=2)
    if missing:
        return Entry(metric, None, runs=runs, missing=missing, comparison="spread")
    values, n = [one.value for one in _estimates(entries)], min(one.n for one in _estimates(entries))
    estimate = Estimate(max(values) - min(values), math.nan, math.nan, n)
    incomplete = any(entry.incomplete for entry in entries)
    return Entry(metric, estimate, runs=runs, incomplete=incomplete, comparison="spread")


def agreement_entry(entries: Sequence[Entry], metric: str, judge: Judge) -> Entry:
    """Of the images that all runs count, the share with the same verdict in every one of them."""
    runs, missing = _runs(entries), missing_of(entries, at_least=2)
    shared = None if missing else agreement([judge(run.cell, metric) for run in runs if run.estimate])
    if shared is None:
        return Entry("agreement", None, runs=runs, missing=missing or "undefined", comparison="agreement")
    incomplete = any(entry.incomplete for entry in entries)
    return Entry("agreement", shared, runs=runs, incomplete=incomplete, comparison="agreement")


def missing_of(parts: Sequence[Entry | Run], at_least: int = 1) -> Missing:
    """Why something made of all the parts is missing; empty when it is not."""
    reasons = {part.missing for part in parts}
    return next((reason for reason in REASONS if reason in reasons), "too few" if len(parts) < at_least else "")


def _estimates(entries: Sequence[Entry]) -> list[Estimate]:
    return [entry.estimate for entry in entries if entry.estimate]


def _runs(entries: Sequence[Entry]) -> tuple[Run, ...]:
    return tuple(run for entry in entries for run in entry.runs)
