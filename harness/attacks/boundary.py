"""Where a model's decision boundaries lie, seen from a point: linearised, the nearest of several."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from harness.attacks import Model
from harness.attacks.hyperplane import dot, dual_length, step_onto
from harness.core.threat import Norm


class Boundary(NamedTuple):
    """The hyperplane on which a linearised model gives a rival class as much as the true one."""

    points: Tensor
    """(B, D) where the model was linearised."""
    leads: Tensor
    """(B, 1) by how much the rival leads there; negative before the boundary."""
    normals: Tensor
    """(B, D) gradient of the lead; zero where the model hides it."""
    logits: Tensor
    """(B, K)."""

    def step_from(self, norm: Norm, points: Tensor, beyond: float = 0.0) -> Tensor:
        """The shortest change of points (B, D) onto the boundary, or some distance beyond it, within [0, 1]."""
        offsets = dot(self.normals, self.points) - self.leads
        return step_onto(norm, points, self.normals, offsets + beyond * dual_length(self.normals, norm)[:, None])


@torch.enable_grad()
def nearest_boundary(
    model: Model, images: Tensor, classes: Tensor, rivals: Tensor, norm: Norm, slack: float = 0.0
) -> Boundary:
    """The nearest of the linearised boundaries between the true classes (B,) and their rivals (B, R).

    One forward pass and R backward passes; only one gradient is kept at a time. Leads count beyond `slack`.
    """
    images = images.detach().requires_grad_()
    logits = model(images)
    everything = logits.gather(1, rivals) - logits.gather(1, classes[:, None]) - slack
    points = images.detach().flatten(1)
    normals, leads = torch.zeros_like(points), torch.zeros_like(points[:, :1])
    closest = torch.full_like(leads, torch.inf)
    count = rivals.shape[1] if logits.requires_grad else 0
    for number in range(count):
        total, again = everything[:, number].sum(), number + 1 < count
        (gradient,) = torch.autograd.grad(total, images, retain_graph=again, allow_unused=True, materialize_grads=True)
        normal = gradient.nan_to_num(0.0, 0.0, 0.0).flatten(1)
        lead = everything[:, number : number + 1].detach()
        away = lead.abs() / dual_length(normal, norm)[:, None]
        # A rival without a gradient is infinitely far; one without a finite logit is not a number, and never nearer.
        nearer = away < closest
        closest = torch.where(nearer, away, closest)
        leads, normals = torch.where(nearer, lead, leads), torch.where(nearer, normal, normals)
    return Boundary(points, leads, normals, logits.detach())
