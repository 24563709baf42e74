"""Baselines made by hand: every number in them can be counted on fingers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from harness.check import Baseline, CellName, Check, Entry, Images, Rule, Taken, compare
from harness.check.packing import pack_indices, pack_verdicts
from harness.store import Question

T, F = True, False


def right(count: int, n: int = 100) -> list[bool]:
    """The first `count` of n images right."""
    return [i < count for i in range(n)]


def entry(
    correct: Sequence[bool],
    *,
    mode: Literal["clean", "whitebox", "transfer"] = "whitebox",
    label: str = "PGD",
    target: str = "net",
    surrogate: str | None = None,
    weights: str = "old",
    surrogate_weights: str = "old",
    images: str = "pixels",
    seed: int = 0,
    **question: Any,
) -> Entry:
    """A cell; `weights` and `surrogate_weights` stand for those of its two models."""
    name = CellName(
        mode=mode, attack="Clean" if mode == "clean" else label, threat="" if mode == "clean" else "L∞ 8/255",
        dataset="Digits", seed=seed, surrogate=surrogate or target, target=target,
    )  # fmt: skip
    attacked = {"attack": "pgd", "attack_version": "1", "norm": "linf", "epsilon": 8 / 255, "goal": "untargeted"}
    asked = Question(
        mode=mode, target=f"{target} {weights}", dataset=images, seed=seed,
        surrogate=f"{surrogate} {surrogate_weights}" if surrogate else f"{target} {weights}",
        **({} if mode == "clean" else {**attacked, "arguments": {"steps": 10}, **question}),
    )  # fmt: skip
    share = sum(correct) / len(correct)
    return Entry(name=name, question=asked, values={"robust_accuracy": share}, correct=pack_verdicts(correct))


def baseline(*entries: Entry, indices: Sequence[int] | None = None, n: int = 100, **more: Any) -> Baseline:
    """A baseline of cells on n images; the index of the image at position i is 10 i + 3, unless given."""
    positions = [10 * i + 3 for i in range(n)] if indices is None else indices
    listed = Images(dataset="Digits", n=len(positions), indices=pack_indices(positions))
    images = {one.question.dataset: listed for one in entries}
    return Baseline(suite="lab", harness="0.1.0", models={}, images=images, cells=list(entries), **more)


def check(old: Baseline, new: Baseline, missing: dict[CellName, str] | None = None, **rule: Any) -> Check:
    """What the gate finds."""
    chosen = Rule(**rule)
    comparisons = compare(old, Taken(new, missing or {}), chosen)
    return Check("lab", "baselines/lab.json", "2020-01-01T00:00:00+00:00", chosen, tuple(comparisons))
