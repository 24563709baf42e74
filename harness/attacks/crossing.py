"""Samples on their way across a boundary, and the step that FAB takes there (Croce & Hein 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from harness.attacks.boundary import Boundary
from harness.attacks.hyperplane import length
from harness.attacks.slots import Flight
from harness.core.threat import Norm

SHORTEST = 1e-8
"""Of a step, where the share of two steps is taken."""


@dataclass
class Crossing(Flight):
    """Samples on their way across a boundary and back. All trials of a sample are one flight, to share what is nearest.

    `runs` counts the trials and `steps` the steps of the current one.
    """

    rivals: Tensor
    """(B, R) wrong classes by descending clean logit, as many as the attack aims at."""
    nearest: Tensor
    """(B, C, H, W) the nearest point that fools the model; before there is one, the point closest to that."""
    distance: Tensor
    """(B,) its distance, float64; infinite before there is one."""
    lead: Tensor
    """(B,) the highest lead of a wrong class so far."""


def biased_step(images: Tensor, boundary: Boundary, norm: Norm, alpha_max: float, eta: float) -> Tensor:
    """From the points where a boundary was linearised to the next ones (Croce & Hein 2020, algorithm 1).

    The shorter the step from the point compared to that from the clean image, the smaller the share of the latter;
    `alpha_max` bounds it. `eta` is the overshoot. (B, C, H, W).
    """
    points, clean = boundary.points, images.flatten(1)
    change, change_of_clean = boundary.step_from(norm, points), boundary.step_from(norm, clean)
    short, long = (length(step, norm).clamp_min(SHORTEST) for step in (change, change_of_clean))
    alpha = (short / (short + long)).clamp_max(alpha_max).to(points.dtype)[:, None]
    ahead = (1 - alpha) * (points + eta * change) + alpha * (clean + eta * change_of_clean)
    return ahead.clamp(0, 1).view_as(images)
