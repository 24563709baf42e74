"""The aggregates that a record keeps beside its samples."""

from __future__ import annotations

import pandas as pd

from harness.metrics.counting import correct_under_attack, correct_when_clean


def summarize(outcomes: pd.DataFrame) -> dict[str, float]:
    """Aggregates over all samples; the success rate (over samples that the target gets right when clean) if defined."""
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
    return values
