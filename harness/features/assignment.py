"""Which image begins, and which label it ends with (Ilyas et al. 2019, section 3; Benz et al. 2021, section 4.2).

Everything is a function of labels, indices and seed: two networks get the same pairs, and the first n images of a set
are the same however many there are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from harness.core.errors import HarnessError
from harness.core.randomness import Draws
from harness.data.feature_card import Kind


class Assignment(NamedTuple):
    """One image of a feature set per image of the source."""

    starts: Tensor
    """(N,) rows of the source where descent begins."""
    labels: Tensor
    """(N,) labels of the new images."""


def assign(kind: Kind, labels: Tensor, indices: Tensor, classes: int, seed: int) -> Assignment:
    """Where every image begins and which label it gets. `labels` and `indices` are (N,).

    Raises:
        HarnessError: when there is only one class.
    """
    if len(labels.unique()) < 2:
        raise HarnessError("features are taken from images of one class to another: the source needs two classes")
    rows = torch.arange(len(labels))
    draws = Draws(seed, indices, torch.zeros_like(indices))
    match kind:
        case "match":
            return Assignment(another_class(labels, draws), labels)
        case "rand":
            return Assignment(rows, other_classes(labels, classes, draws))
        case "det":
            return Assignment(rows, (labels + 1) % classes)
        case "conflict":
            return Assignment(rows, (labels - 1) % classes)


def another_class(labels: Tensor, draws: Draws) -> Tensor:
    """(N,) for every image the row of one with another label, uniform over all of these."""
    order = labels.argsort(stable=True)
    grouped = labels[order]
    first = torch.searchsorted(grouped, labels)
    own = torch.searchsorted(grouped, labels, right=True) - first
    position = (draws.uniform("start-image").double() * (len(labels) - own)).long()
    return order[torch.where(position < first, position, position + own)]


def other_classes(labels: Tensor, classes: int, draws: Draws) -> Tensor:
    """(N,) for every label another one, uniform over the other `classes` - 1."""
    offset = 1 + (draws.uniform("wanted-class").double() * (classes - 1)).long()
    return (labels + offset) % classes
