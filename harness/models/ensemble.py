"""Several networks that answer as one (Dong et al. 2018, section 3.4; Liu et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from harness.models.classifier import Classifier

Fusion = Literal["logits", "probabilities", "loss"]

FUSIONS: tuple[Fusion, ...] = get_args(Fusion)


def mean_logits(logits: Tensor) -> Tensor:
    """(M, N, K) to (N, K)."""
    return logits.mean(0)


def mean_probabilities(logits: Tensor) -> Tensor:
    """The logarithm of the members' mean probability. (M, N, K) to (N, K)."""
    return logits.log_softmax(2).logsumexp(0) - math.log(len(logits))


def mean_log_probabilities(logits: Tensor) -> Tensor:
    """The mean of the members' log-probabilities: the class with the smallest mean loss is the largest of them."""
    return logits.log_softmax(2).mean(0)


FUSE: dict[Fusion, Callable[[Tensor], Tensor]] = {
    "logits": mean_logits,
    "probabilities": mean_probabilities,
    "loss": mean_log_probabilities,
}


class Ensemble(nn.Module):
    """Members with equal say, fused by their logits, their probabilities, or their losses.

    The loss of a mean is not the mean of the losses: attacks that climb a loss ask `parts_of` for the members and
    average their gradients. Everybody else sees the logits of `FUSE`.
    """

    def __init__(self, members: Sequence[nn.Module], fuse: Fusion) -> None:
        """Every member maps images (N, C, H, W) in [0, 1] to logits (N, K)."""
        super().__init__()
        self.members = nn.ModuleList(members)
        self.fuse = fuse

    def forward(self, images: Tensor) -> Tensor:
        """Fused logits (N, K). Raises ValueError when the members do not have the same number of classes."""
        answers = [member(images) for member in self.members]
        classes = [answer.shape[1] for answer in answers]
        if len(set(classes)) > 1:
            raise ValueError(f"the members of the ensemble have {', '.join(map(str, classes))} classes")
        return FUSE[self.fuse](torch.stack(answers))

    def extra_repr(self) -> str:
        """The fusion: it is part of a model's fingerprint."""
        return f"fuse={self.fuse}"


def parts_of(model: Callable[[Tensor], Tensor]) -> tuple[Callable[[Tensor], Tensor], ...]:
    """The models over which a loss is averaged: the members of an ensemble fused by loss; of others, the model."""
    inner = model.network if isinstance(model, Classifier) else model
    if isinstance(inner, Ensemble) and inner.fuse == "loss":
        return tuple(inner.members)
    return (model,)
