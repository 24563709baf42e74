"""The view bn = "folded": BatchNorm layers multiplied into the convolutions before them.

The function is the same and its network has other layers: what differs between the two is an artefact of rounding or of
gradients, not robustness.
"""

from __future__ import annotations

from dataclasses import replace

from harness.core.errors import HarnessError
from harness.models.classifier import FOLDED, Classifier
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
