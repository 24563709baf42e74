"""DeepFool: straight onto the nearest linearised boundary until the model is fooled (Moosavi-Dezfooli et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks import ATTACKS, Attack, Crafted, Model, Plain, Samples, Setting, fooled
from harness.attacks.apgd import ranked_others
from harness.attacks.boundary import nearest_boundary
from harness.attacks.slots import Flight, fly, takeoff
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.threat import Norm, ThreatModel

BEYOND = 1e-4
"""How far beyond the boundary a step aims, as in the authors' code: a point that lies on it would stay there."""


@dataclass
class Walk(Flight):
    """Samples on their way to a boundary."""

    rivals: Tensor
    """(B, R) wrong classes by descending clean logit, as many as are looked at."""


@dataclass(frozen=True)
class DeepFool(Plain):
    """Shortest steps onto the nearest of several boundaries.

    Unlike in the paper, steps are the shortest ones within [0, 1]; where no pixel reaches an end, they are the same.
    """

    steps: int = 50
    overshoot: float = 0.02
    """By how much steps go further than onto the boundary, as a share of their length."""
    candidates: int = 10
    """Number of classes looked at, the true one included, by descending clean logit."""
    norms: frozenset[Norm] = frozenset({"linf", "l2"})
    runs: int = 1
    """See `Stepper`."""

    def cost(self, setting: Setting) -> int:
        """See `Attack`: the clean logits, and in every step one pass per wrong class."""
        return 1 + self.steps * (self.candidates - 1)

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model. Raises HarnessError for any goal but the untargeted one."""
        if threat.goal != "untargeted":
            raise HarnessError('DeepFool is made for the goal "untargeted"; use apgd-ce or pgd for others')
        return {}

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Takes the first point that fools the model, brought into the ball if it lies outside."""
        return fly(self, model, samples, setting)

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Walk:
        """See `Stepper`."""
        fields = takeoff(samples, rows, runs)
        with torch.no_grad():
            logits = model(fields["images"])
        fields["passes"] += 1
        return Walk(**fields, rivals=ranked_others(logits, fields["classes"])[:, : self.candidates - 1])

    def step(self, model: Model, flight: Walk, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`."""
        threat, points = setting.threat, flight.adversarial
        boundary = nearest_boundary(model, points, flight.classes, flight.rivals, threat.norm, setting.slack)
        flight.zero_gradient |= boundary.normals.abs().amax(1) == 0
        change = (1 + self.overshoot) * boundary.step_from(threat.norm, boundary.points, BEYOND)
        # A clean image that is wrong anyway is left as it is only where the attack may stop at once.
        may_stop = (flight.steps > 0) | setting.stop_when_fooled
        crossed = fooled(boundary.logits, flight.classes, threat, setting.slack) & may_stop
        ahead = torch.where(crossed.view(-1, 1, 1, 1), points, (points + change.view_as(points)).clamp(0, 1))
        flight.steps += 1
        flight.passes += flight.rivals.shape[1]
        done = crossed | (flight.steps >= self.steps)
        ball = ball_of(threat)
        inside = ball.distance(flight.images, ahead) <= threat.epsilon
        outside = (done & ~inside).view(-1, 1, 1, 1)
        flight.adversarial = torch.where(outside, ball.project(flight.images, ahead), ahead)
        return done, crossed & inside


@ATTACKS.register("deepfool")
def deepfool(
    steps: Annotated[int, Field(ge=1)] = 50,
    overshoot: Annotated[float, Field(ge=0)] = 0.02,
    candidates: Annotated[int, Field(ge=2)] = 10,
) -> Attack:
    """DeepFool: onto the nearest linearised boundary until the model is fooled (Moosavi-Dezfooli et al. 2016)."""
    return DeepFool(steps, overshoot, candidates)
