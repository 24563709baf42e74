"""Per-sample attack losses: large where the classifier is wrong about `classes`.

An untargeted attack maximises the loss of the true class, a targeted one minimises that of the wanted class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
LossName = Literal["cross-entropy", "margin", "logit", "dlr"]

SMALLEST_SPREAD = 1e-12
"""Keeps equal logits from dividing zero by zero."""


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """-log softmax of the class. (N, K), (N,) -> (N,)."""
    return F.cross_entropy(logits, classes, reduction="none")


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Largest other logit minus the class's own (Carlini & Wagner 2017): positive exactly when misclassified."""
    own = logits.gather(1, classes[:, None])
    others = logits.scatter(1, classes[:, None], -torch.inf)
    return others.amax(1) - own[:, 0]


def logit(logits: Tensor, classes: Tensor) -> Tensor:
    """The class's logit, negated (Zhao et al. 2021)."""
    return -logits.gather(1, classes[:, None])[:, 0]


def dlr(logits: Tensor, classes: Tensor) -> Tensor:
    """Difference of logits ratio: the margin over the spread of the three largest logits (Croce & Hein 2020).

    Unlike the cross-entropy it does not change when logits are scaled or shifted. With two classes the ratio is not
    defined, and the margin alone is returned.
    """
    lead = margin(logits, classes)
    if logits.shape[1] < 3:
        return lead
    largest = logits.topk(3, dim=1).values
    return lead / (largest[:, 0] - largest[:, 2] + SMALLEST_SPREAD)


def targeted_dlr(logits: Tensor, classes: Tensor, aimed: Tensor) -> Tensor:
    """The lead of the class aimed at over the true class, over the spread of the four largest logits. (N,).

    Croce & Hein (2020), section 4.1. With fewer than four classes the ratio is not defined, and the lead alone is
    returned.
    """
    lead = (logits.gather(1, aimed[:, None]) - logits.gather(1, classes[:, None]))[:, 0]
    if logits.shape[1] < 4:
        return lead
    largest = logits.topk(4, dim=1).values
    return lead / (largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2 + SMALLEST_SPREAD)


LOSSES: dict[LossName, Loss] = {"cross-entropy": cross_entropy, "margin": margin, "logit": logit, "dlr": dlr}
