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
LossName = Literal["cross-entropy", "margin", "logit"]


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


LOSSES: dict[LossName, Loss] = {"cross-entropy": cross_entropy, "margin": margin, "logit": logit}
