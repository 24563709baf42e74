"""Averages over cells that share their images, such as the mean success rate over several attacks and targets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.metrics.agreement import verdicts
from harness.metrics.estimate import Z_95, Estimate, mean_of

COLUMNS = {"mean_l2": "l2", "mean_linf": "linf", "mean_passes": "passes"}
"""Metrics that are means of a column of the outcomes; all others are rates."""


ERRORS = ("robust_error", "clean_error")
"""Rates that count what their verdicts deny."""


def scores(outcomes: pd.DataFrame, metric: str) -> pd.Series[float]:
    """What a metric is the mean of, by the position of the image in the data set: 0 or 1 for rates."""
    if metric in COLUMNS:
        index = pd.Index(outcomes["index"].to_numpy())
        return pd.Series(outcomes[COLUMNS[metric]].to_numpy(dtype=np.float64), index=index)
    verdict = verdicts(outcomes, metric)
    return (~verdict if metric in ERRORS else verdict).astype(np.float64)


def scores_in_common(counted: Sequence[pd.DataFrame], metric: str) -> pd.DataFrame:
    """(N, cells) the scores of several cells on the images that count in all of them.

    Args:
        counted: of every cell the outcomes that count, on the same data set.
        metric: a name of METRICS.
    """
    return pd.concat([scores(outcomes, metric) for outcomes in counted], axis=1, join="inner")


def average(scored: Sequence[pd.Series[float]], *, rates: bool) -> Estimate:
    """The mean over cells of their means over images, each cell with equal weight; n is the smallest of theirs.

    The images are the sample, and all that a cell says about an image counts as one observation: the influence of the
    image on the average, which is its mean over the cells where all cells count the same images. The interval is the
    normal one of these; for rates after adding two images with 1 and two with 0 (Agresti and Coull 1998), so that it
    has a length at 0 and 1 too, where a bootstrap has none. In between the two agree.

    Args:
        scored: `scores` of the images that count, one series per cell, on the same data set.
        rates: whether all scores are 0 or 1.

    Raises:
        ValueError: when there are no cells, or one without an image.
    """
    if not scored or not all(len(one) for one in scored):
        raise ValueError("a mean over no samples is not a number")
    table = pd.concat(scored, axis=1).to_numpy(dtype=np.float64)
    counted = ~np.isnan(table)
    means = np.nanmean(table, axis=0)
    value = float(means.mean())
    weights = len(table) / counted.sum(axis=0)
    influence = value + (np.where(counted, table - means, 0.0) * weights).mean(axis=1)
    estimate = _rate(influence) if rates else mean_of(influence)
    return estimate._replace(value=value, n=int(counted.sum(axis=0).min()))


def _rate(influence: npt.NDArray[np.float64]) -> Estimate:
    adjusted = np.append(influence, (0.0, 0.0, 1.0, 1.0))
    centre, half = float(adjusted.mean()), Z_95 * float(adjusted.std()) / math.sqrt(adjusted.size)
    return Estimate(centre, max(0.0, centre - half), min(1.0, centre + half), len(influence))
