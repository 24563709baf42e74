"""Which image begins, and which label it ends with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.core.errors import HarnessError
from harness.data.feature_card import Kind
from harness.features.assignment import assign

LABELS = torch.arange(3000) % 3
"""A thousand images of each of three classes."""

INDICES = torch.arange(3000)


def counts_of_offsets(labels: Tensor, classes: int = 10) -> list[int]:
    return torch.bincount((labels - LABELS) % classes, minlength=classes).tolist()


def test_rand_draws_one_of_the_other_classes_evenly_and_begins_at_the_image_itself() -> None:
    starts, labels = assign("rand", LABELS, INDICES, 10, 0)
    offsets = counts_of_offsets(labels)
    assert offsets[0] == 0
    # Nine binomial counts around 333 with a standard deviation of 17.
    assert all(abs(count - 3000 / 9) < 5 * 17.3 for count in offsets[1:])
    assert torch.equal(starts, torch.arange(3000))


def test_rand_repeats_with_its_seed_and_changes_with_another() -> None:
    first, again, other = (assign("rand", LABELS, INDICES, 10, seed).labels for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first != other).float().mean() > 0.8


@pytest.mark.parametrize(("kind", "expected"), [("det", [1, 2, 0]), ("conflict", [2, 0, 1])])
def test_det_moves_labels_on_and_conflict_moves_them_back(kind: Kind, expected: list[int]) -> None:
    starts, labels = assign(kind, torch.tensor([0, 1, 2]), torch.arange(3), 3, 0)
    assert labels.tolist() == expected
    assert starts.tolist() == [0, 1, 2]


def test_match_keeps_the_label_and_begins_at_an_image_of_another_class() -> None:
    starts, labels = assign("match", LABELS, INDICES, 3, 0)
    assert torch.equal(labels, LABELS)
    assert (LABELS[starts] != LABELS).all()


def test_match_begins_at_any_image_of_another_class_equally_often() -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 2])
    begun = torch.zeros(6, 6)
    for seed in range(1000):
        begun[torch.arange(6), assign("match", labels, torch.arange(6), 3, seed).starts] += 1
    others = labels[:, None] != labels
    expected = others / others.sum(1, keepdim=True)
    # The largest standard deviation of a share of 1,000 draws is 0.0158.
    assert (begun / 1000 - expected).abs().max() < 5 * 0.0158


def test_the_classes_of_the_first_images_do_not_depend_on_how_many_follow() -> None:
    whole, few = assign("rand", LABELS, INDICES, 10, 0), assign("rand", LABELS[:50], INDICES[:50], 10, 0)
    assert torch.equal(whole.labels[:50], few.labels)


def test_a_source_of_one_class_is_refused() -> None:
    with pytest.raises(HarnessError, match="needs two classes"):
        assign("match", torch.zeros(4, dtype=torch.long), torch.arange(4), 10, 0)
