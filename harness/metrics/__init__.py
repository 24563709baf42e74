"""Metrics: from what happened to every sample to a number with its interval. No torch, no model.

A metric takes the outcomes that count (columns as in `harness.store.OUTCOME_COLUMNS`) and gives an `Estimate`; which
outcomes count is decided before, by the masks of `harness.metrics.counting`. To add one, register a function in a
module of this package under the name that tables use.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from harness.core.registry import Registry
from harness.metrics.estimate import Estimate, mean_of, mean_over, wilson
from harness.metrics.paired import PairedMeans, PairedTest, compare_means, compare_robustness, mcnemar
from harness.metrics.sign_tests import holm

Metric = Callable[[pd.DataFrame], Estimate]
"""Outcomes that count, at least one, to an estimate."""

METRICS: Registry[Metric] = Registry("metric", package=__name__)

__all__ = [
    "METRICS",
    "Estimate",
    "Metric",
    "PairedMeans",
    "PairedTest",
    "compare_means",
    "compare_robustness",
    "holm",
    "mcnemar",
    "mean_of",
    "mean_over",
    "wilson",
]
