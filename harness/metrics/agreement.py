"""Agreement: the share of images on which several records say the same."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.metrics.counting import correct_under_attack, correct_when_clean
from harness.metrics.estimate import Estimate, wilson


def verdicts(outcomes: pd.DataFrame, metric: str) -> pd.Series[bool]:
    """What a metric asks of every sample, by the position of the image in the data set.

    Clean accuracy and error ask whether the sample is right when clean, the attack success rate whether the attack
    succeeded, and every other metric whether the sample is still right under attack.
    """
    if metric in ("clean_accuracy", "clean_error"):
        verdict = correct_when_clean(outcomes)
    elif metric == "attack_success_rate":
        verdict = outcomes["success"].to_numpy()
    else:
        verdict = correct_under_attack(outcomes)
    return pd.Series(verdict, index=pd.Index(outcomes["index"].to_numpy()))


def agreement(judged: Sequence[pd.Series[bool]]) -> Estimate | None:
    """Of the images that all have in common, the share with one verdict by all; None when there is no such image.

    Args:
        judged: `verdicts` of two or more records on the same data set.
    """
    common = pd.concat(judged, axis=1, join="inner")
    return wilson(int((common.nunique(axis=1) == 1).sum()), len(common)) if len(common) else None
