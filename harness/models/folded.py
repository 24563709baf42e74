"""The view bn = "folded": BatchNorm layers multiplied into the convolutions before them.

The function is the same and its network has other layers: what differs between the two is an artefact of rounding or of
gradients, not robustness.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from harness.core.errors import HarnessError
from harness.core.tf32 import full_float32
from harness.models.answers import answer_of
from harness.models.classifier import FOLDED, Classifier
from harness.models.prepare import is_faithful, is_steady
from harness.models.rewrite import rewrite
from harness.models.views import note_view


def take_folded_view(model: Classifier) -> None:
    """Fold what can be folded, in place. Raises HarnessError when that is no layer at all."""
    folded = rewrite(model)
    if not folded:
        raise HarnessError(
            f'bn = "folded": {model.provenance.id} has no BatchNorm layer behind a convolution, or cannot be traced'
        )
    note_view(model, bn="folded")
    model.provenance = replace(model.provenance, details={**model.provenance.details, FOLDED: folded})


def check_folded_view(model: Classifier, original: Classifier, images: Tensor) -> None:
    """Raise HarnessError unless a folded model answers to images (N, C, H, W) as the original does.

    An original that gives no answer is not judged here.
    """
    with full_float32():
        expected, answer = answer_of(original, images), answer_of(model, images)
    if expected is not None and not (is_steady(expected) and is_faithful(answer, expected)):
        raise HarnessError(
            f'bn = "folded": {model.provenance.id} computes something else once it is folded: hooks, gradients of its '
            "own, random numbers or branches in its code do not survive that.\n     leave this view of it out"
        )
