"""The metrics of tables: pure functions on the outcomes that count."""

from __future__ import annotations

import pandas as pd

from harness.metrics import METRICS
from harness.metrics.counting import correct_under_attack, correct_when_clean
from harness.metrics.estimate import Estimate, mean_of, wilson


@METRICS.register("clean_accuracy")
def clean_accuracy(outcomes: pd.DataFrame) -> Estimate:
    """Share of the samples classified correctly without attack."""
    return wilson(int(correct_when_clean(outcomes).sum()), len(outcomes))


@METRICS.register("clean_error")
def clean_error(outcomes: pd.DataFrame) -> Estimate:
    """Share of the samples classified wrongly without attack: 1 - clean accuracy."""
    return wilson(int((~correct_when_clean(outcomes)).sum()), len(outcomes))


@METRICS.register("robust_accuracy")
def robust_accuracy(outcomes: pd.DataFrame) -> Estimate:
    """Share of the samples still classified correctly under attack; clean errors count as failures.

    A targeted attack that turns a sample into any wrong class lowers it, whether or not it is the wanted class.
    """
    return wilson(int(correct_under_attack(outcomes).sum()), len(outcomes))


@METRICS.register("robust_error")
def robust_error(outcomes: pd.DataFrame) -> Estimate:
    """Share of the samples classified wrongly under attack: 1 - robust accuracy."""
    return wilson(int((~correct_under_attack(outcomes)).sum()), len(outcomes))


@METRICS.register("attack_success_rate")
def attack_success_rate(outcomes: pd.DataFrame) -> Estimate:
    """Share of the samples that the attack has where it wants them: a wrong class, or the wanted one if targeted.

    Over the samples that the target gets right when clean it is the share that the attack turns; over all samples of
    an untargeted attack it is the plain error, which includes the clean errors.
    """
    return wilson(int(outcomes["success"].to_numpy().sum()), len(outcomes))


@METRICS.register("mean_l2")
def mean_l2(outcomes: pd.DataFrame) -> Estimate:
    """Mean Euclidean norm of the change, over successes and failures alike."""
    return mean_of(outcomes["l2"].to_numpy())


@METRICS.register("mean_linf")
def mean_linf(outcomes: pd.DataFrame) -> Estimate:
    """Mean of the largest pixel change, over successes and failures alike."""
    return mean_of(outcomes["linf"].to_numpy())


@METRICS.register("mean_passes")
def mean_passes(outcomes: pd.DataFrame) -> Estimate:
    """Mean number of passes through the surrogate that the attack spent on a sample."""
    return mean_of(outcomes["passes"].to_numpy())
