"""Relative gains in a table: entries that compare two groups of their own runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from harness.metrics.averages import scores_in_common
from harness.metrics.gain import relative_gain
from harness.report.summaries import missing_of
from harness.report.table import Entry, Run
from harness.report.words import GAIN


def gain_entry(changed: Sequence[Run], base: Sequence[Run], counted: Callable[[Run], pd.DataFrame]) -> Entry:
    """How much greater the robust accuracy of some runs is than that of others; missing as soon as one of them is.

    Args:
        changed: with the statistics of the batch.
        base: with running statistics.
        counted: the samples of a finished run that count; those that count in all runs are compared.
    """
    runs = (*changed, *base)
    if missing := missing_of(runs):
        return Entry(GAIN, None, runs=runs, missing=missing, comparison=GAIN)
    judged = scores_in_common([counted(run) for run in runs], runs[0].metric).to_numpy(dtype=bool)
    estimate = relative_gain(judged[:, : len(changed)], judged[:, len(changed) :])
    return Entry(GAIN, estimate, runs=runs, missing="" if estimate else "undefined", comparison=GAIN)
