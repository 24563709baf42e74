"""Passes in another precision, judged in float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import Tensor

import harness.surrogate
from harness.attacks.cascade import Cascade
from harness.core.precision import PassPrecision, Precision
from harness.models.classifier import Classifier
from harness.models.prepare import Prepared, prepare

from .toys import (
    COUNT,
    LINF,
    arena,
    attack,
    model,
    run,
    whitebox,
)


def twins_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The precisions of the twins that a job prepares, in order."""
    asked: list[str] = []

    def note(surrogate: Classifier, images: Tensor, precision: PassPrecision, compile_for: int | None) -> Prepared:
        asked.append(precision)
        return prepare(surrogate, images, precision, compile_for)

    monkeypatch.setattr(harness.surrogate, "prepare", note)
    return asked


def test_a_screen_leaves_only_its_survivors_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, original, somewhere = twins_asked(monkeypatch), model(), arena(wrong=3)
    exact, screened = (
        run(replace(whitebox(steps=5), precision=precision), original, somewhere)["cell"]
        for precision in ("float32", "screen")
    )
    assert asked == ["float32", "bfloat16", "float32"]
    assert (screened["success"] | ~exact["success"]).all(), "never weaker than float32 alone"
    assert exact["success"].any()
    assert (~exact["success"]).any()
    survivors = ~screened["success"].to_numpy()
    assert (screened["passes"][survivors] == 10).all(), "both stages count"
    assert (screened["passes"][~survivors] <= 10).all()
    assert sorted(screened["index"]) == sorted(somewhere.dataset.indices.tolist())


def test_a_screen_goes_on_where_it_was_stopped() -> None:
    job, original = replace(whitebox(steps=5), precision="screen"), model()
    whole = run(job, original, arena())["cell"]
    finished = np.arange(COUNT) % 2 == 0
    rest = run(job, original, arena(), finished)["cell"]
    assert sorted(rest["index"]) == sorted(arena().dataset.indices[~finished].tolist())
    expected = whole[whole["index"].isin(rest["index"])].reset_index(drop=True)
    assert (rest["passes"] == expected["passes"]).all()
    assert (rest["success"] == expected["success"]).all()


def test_passes_in_bfloat16_are_judged_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, original = twins_asked(monkeypatch), model()
    outcomes = run(replace(whitebox(), precision="bfloat16"), original, arena())["cell"]
    assert asked == ["bfloat16"]
    exact = run(whitebox(), original, arena())["cell"]
    assert abs(int(outcomes["success"].sum()) - int(exact["success"].sum())) <= 1


@pytest.mark.parametrize(
    ("name", "policy", "expected"),
    [
        ("pgd", "bfloat16", ["bfloat16"]),
        ("square", "bfloat16", ["bfloat16", "float32"]),
        ("autoattack", "bfloat16", ["bfloat16", "float32"]),
        ("square", "float32", ["float32"]),
    ],
)
def test_attacks_that_compare_scores_get_a_twin_in_float32(
    name: str, policy: Precision, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, given = twins_asked(monkeypatch), {"queries": 5} if name == "square" else {}
    far = replace(LINF, epsilon=1e-3)
    job = whitebox(name, far, **given)
    if name == "autoattack":
        short = Cascade({"pgd": attack("pgd", far).attack, "square": attack("square", far, queries=5).attack})
        job = replace(job, attack=job.attack._replace(attack=short))
    run(replace(job, precision=policy), model(), arena())
    assert asked == expected
