"""The aggregates that a record keeps beside its samples."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.metrics.counting import Mask, correct_under_attack, correct_when_clean

AFTER = "robust_accuracy_after_"
"""Beginning of the names of robust accuracies after each member of a composed attack."""


def summarize(outcomes: pd.DataFrame, members: Sequence[str] = ()) -> dict[str, float]:
    """Aggregates over all samples; the success rate (over samples that the target gets right when clean) if defined.

    For a composed attack also the robust accuracy after each of its `members`, which run in this order.
    """
    clean = correct_when_clean(outcomes)
    values = {
        "clean_accuracy": float(clean.mean()),
        "robust_accuracy": float(correct_under_attack(outcomes).mean()),
        "mean_linf": float(outcomes["linf"].mean()),
        "mean_l2": float(outcomes["l2"].mean()),
        "mean_passes": float(outcomes["passes"].mean()),
    }
    if clean.any():
        values["attack_success_rate"] = float(outcomes["success"].to_numpy()[clean].mean())
    values |= {AFTER + name: float(survived(outcomes, number).mean()) for number, name in enumerate(members)}
    return values


def survived(outcomes: pd.DataFrame, member: int) -> Mask:
    """The samples that are classified correctly after a member of a composed attack and all members before it."""
    later = correct_when_clean(outcomes) & (outcomes["member"].to_numpy() > member)
    return correct_under_attack(outcomes) | later
