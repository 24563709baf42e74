"""The class that an attack wants: any but the true one, or one of the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

from harness.core.threat import Goal, ThreatModel
from harness.data import Dataset
from harness.judging import Arena, wanted_classes

from .toys import (
    CLASSES,
    LINF,
    arena,
)


def arena_of(labels: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]) -> Arena:
    images = np.zeros((len(labels), 1, 1, 1), dtype=np.float32)
    names = tuple(str(label) for label in range(int(labels.max()) + 1))
    return Arena(Dataset("labels", images, labels, indices, names, ""), torch.device("cpu"), 5)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("goal", ["next", "random"])
def test_the_wanted_class_is_never_the_true_one(goal: Goal, classes: int) -> None:
    labels = np.arange(6000) % classes
    wanted = wanted_classes(arena_of(labels, np.arange(6000)), ThreatModel("linf", 0.1, goal), classes, seed=0).numpy()
    assert (wanted != labels).all()
    assert wanted.min() >= 0
    assert wanted.max() < classes


def test_random_wanted_classes_are_uniform_over_the_others() -> None:
    labels = np.full(6000, 2)
    wanted = wanted_classes(arena_of(labels, np.arange(6000)), ThreatModel("linf", 0.1, "random"), 5, seed=0).numpy()
    counts = np.bincount(wanted, minlength=5)
    assert counts[2] == 0
    assert stats.chisquare(np.delete(counts, 2)).pvalue > 0.01


def test_a_random_wanted_class_belongs_to_the_image_and_the_seed_not_to_its_place() -> None:
    threat, labels, indices = ThreatModel("linf", 0.1, "random"), np.arange(50) % 5, 10 * np.arange(50)
    straight = wanted_classes(arena_of(labels, indices), threat, 5, seed=0)
    backwards = wanted_classes(arena_of(labels[::-1].copy(), indices[::-1].copy()), threat, 5, seed=0)
    assert torch.equal(straight, backwards.flip(0))
    assert not torch.equal(straight, wanted_classes(arena_of(labels, indices), threat, 5, seed=1))


def test_an_untargeted_attack_wants_any_class_but_the_true_one() -> None:
    assert torch.equal(wanted_classes(arena(), LINF, CLASSES, seed=0), arena().labels)
