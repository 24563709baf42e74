"""The aggregates of a record."""

from __future__ import annotations

import pandas as pd
import pytest

from harness.metrics.summary import summarize


def frame(members: list[int], robust: list[bool], clean: list[bool]) -> pd.DataFrame:
    n = len(members)
    return pd.DataFrame({
        "index": range(n), "label": 1, "clean_prediction": [1 if right else 2 for right in clean],
        "adversarial_prediction": [1 if right else 2 for right in robust], "success": [not right for right in robust],
        "linf": 0.1, "l2": 1.0, "l1": 9.0, "passes": 5, "member": members,
    })  # fmt: skip


def test_robust_accuracy_is_told_after_each_member_of_a_composed_attack() -> None:
    # Wrong when clean; fooled by the first, the second, the second, the third member; a survivor.
    outcomes = frame(
        [-1, 0, 1, 1, 2, 2], [False, False, False, False, False, True], [False, True, True, True, True, True]
    )
    values = summarize(outcomes, ("a", "b", "c"))
    after = [values[f"robust_accuracy_after_{name}"] for name in "abc"]
    assert after == pytest.approx([4 / 6, 2 / 6, 1 / 6])
    assert values["robust_accuracy"] == after[-1]


def test_plain_attacks_have_no_members() -> None:
    values = summarize(frame([-1, -1], [True, False], [True, True]))
    assert not any("after" in name for name in values)
    assert values["attack_success_rate"] == 0.5
