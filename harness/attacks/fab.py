"""FAB: the nearest adversarial image by steps onto linearised decision boundaries (Croce & Hein 2020).

Every step goes a little beyond the shortest way onto the boundary, and leans towards the same way from the clean image;
where it fools the model, it is followed by a step back towards the clean image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks import ATTACKS, Attack, Crafted, Model, Plain, Samples, Setting, fooled
from harness.attacks.apgd import ranked_others
from harness.attacks.boundary import nearest_boundary
from harness.attacks.crossing import Crossing, biased_step
from harness.attacks.distances import smallest_distances
from harness.attacks.slots import fly, takeoff
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.losses import margin
from harness.core.threat import Norm, ThreatModel


@dataclass(frozen=True)
class FAB(Plain):
    """Fast adaptive boundary attack, on the nearest of all boundaries or on those of some classes in turn."""

    steps: int = 100
    restarts: int = 1
    """Trials per class aimed at, from random starts after the first."""
    targets: int = 0
    """Number of classes aimed at, by descending clean logit; 0 to look at all of them in every step."""
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    """Share of the perturbation that is left after a step back."""
    norms: frozenset[Norm] = frozenset({"linf", "l2", "l1"})
    runs: int = 1
    """See `Stepper`; what are runs elsewhere are trials here, see `Crossing`."""

    def cost(self, setting: Setting) -> int:
        """See `Attack`: the clean logits; and in every step one pass per class looked at, and one to check."""
        rivals = setting.classes - 1
        return 1 + self.restarts * self.steps * (2 * min(self.targets, rivals) or rivals + 1)

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model. Raises HarnessError for any goal but the untargeted one."""
        if threat.goal != "untargeted":
            raise HarnessError('FAB is made for the goal "untargeted"; use apgd-ce or pgd for others')
        return {}

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Proposes the nearest point that fools the model, brought into the ball if it lies outside."""
        return fly(self, model, samples, setting)

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Crossing:
        """See `Stepper`."""
        fields = takeoff(samples, rows, runs)
        images, classes = fields["images"], fields["classes"]
        with torch.no_grad():
            logits = model(images)
        fields["passes"] += 1
        rivals = ranked_others(logits, classes)[:, : self.targets or None]
        decided = fooled(logits, classes, setting.threat, setting.slack) & setting.stop_when_fooled
        distance = torch.where(decided, 0.0, torch.inf).double()
        lead = torch.full_like(distance, -torch.inf)
        return Crossing(**fields, rivals=rivals, nearest=images.clone(), distance=distance, lead=lead)

    def step(self, model: Model, flight: Crossing, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`."""
        norm, aimed = setting.threat.norm, self._aimed(flight)
        boundary = nearest_boundary(model, flight.adversarial, flight.classes, aimed, norm, setting.slack)
        flight.zero_gradient |= boundary.normals.abs().amax(1) == 0
        flight.adversarial = biased_step(flight.images, boundary, norm, self.alpha_max, self.eta)
        with torch.no_grad():
            logits = model(flight.adversarial)
        flight.passes += aimed.shape[1] + 1
        flight.steps += 1
        self._remember_and_retreat(flight, logits, setting)
        return self._land_or_start_again(flight, setting)

    def distances(self, model: Model, samples: Samples, setting: Setting) -> Tensor:
        """(M,) lengths of the smallest perturbations found, beyond epsilon too; infinite where none fools the model.

        Zero where the clean image does. Epsilon matters only to random starts.
        """
        return smallest_distances(Unbounded(self), model, samples, setting)

    def _aimed(self, flight: Crossing) -> Tensor:
        """(B, R) the classes whose boundaries count in this step."""
        if not self.targets:
            return flight.rivals
        rank = flight.runs.div(self.restarts, rounding_mode="floor")
        return flight.rivals.gather(1, rank[:, None])

    def _start(self, flight: Crossing, setting: Setting) -> Tensor:
        """Where trials begin: at the clean image, later ones half as far away as the smallest success so far."""
        if self.restarts == 1:
            return flight.images.clone()
        epsilon = setting.threat.epsilon
        ball = ball_of(replace(setting.threat, epsilon=epsilon / 2))
        noise = ball.random_far_points(flight.images, flight.draws(setting)) - flight.images
        share = (flight.distance / epsilon).clamp_max(1) * (flight.runs % self.restarts > 0)
        return (flight.images + share.to(noise.dtype).view(-1, 1, 1, 1) * noise).clamp(0, 1)

    def _remember_and_retreat(self, flight: Crossing, logits: Tensor, setting: Setting) -> None:
        """Keep points that are nearer than all before; go back from those that fool the model."""
        crossed = fooled(logits, flight.classes, setting.threat, setting.slack)
        lead = torch.where(logits.isfinite().all(1), margin(logits, flight.classes).double(), -torch.inf)
        away = ball_of(setting.threat).distance(flight.images, flight.adversarial)
        distance = torch.where(crossed, away, torch.inf)
        nearer = (distance < flight.distance) | (flight.distance.isinf() & (lead > flight.lead))
        flight.nearest = torch.where(nearer.view(-1, 1, 1, 1), flight.adversarial, flight.nearest)
        flight.distance = flight.distance.minimum(distance)
        flight.lead = flight.lead.maximum(lead)
        back = flight.images + self.beta * (flight.adversarial - flight.images)
        flight.adversarial = torch.where(crossed.view(-1, 1, 1, 1), back, flight.adversarial)

    def _land_or_start_again(self, flight: Crossing, setting: Setting) -> tuple[Tensor, Tensor]:
        """(B,) which samples are done, and which are known to be fooled; the others' next trials begin."""
        trials = self.restarts * (flight.rivals.shape[1] if self.targets else 1)
        inside = flight.distance <= setting.threat.epsilon
        known = inside & setting.stop_when_fooled
        over = flight.steps >= self.steps
        done = known | (over & (flight.runs + 1 >= trials))
        if done.any():
            projected = ball_of(setting.threat).project(flight.images, flight.nearest)
            proposal = torch.where(inside.view(-1, 1, 1, 1), flight.nearest, projected)
            flight.adversarial = torch.where(done.view(-1, 1, 1, 1), proposal, flight.adversarial)
        again = (over & ~done).nonzero()[:, 0]
        if len(again):
            following = flight.select(again)
            following.runs += 1
            following.steps.zero_()
            following.adversarial = self._start(following, setting)
            flight.put(again, following)
        return done, known


@dataclass(frozen=True)
class Unbounded:
    """FAB as a measurement: it proposes the nearest point wherever that lies."""

    attack: FAB

    @property
    def runs(self) -> int:
        """See `Stepper`."""
        return self.attack.runs

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Crossing:
        """See `Stepper`."""
        return self.attack.enter(model, samples, rows, runs, setting)

    def step(self, model: Model, flight: Crossing, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`."""
        done, known = self.attack.step(model, flight, setting)
        flight.adversarial = torch.where(done.view(-1, 1, 1, 1), flight.nearest, flight.adversarial)
        return done, known


Steps = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Overshoot = Annotated[float, Field(ge=1)]


@ATTACKS.register("fab")
def fab(
    steps: Steps = 100, restarts: Steps = 1, alpha_max: Share = 0.1, eta: Overshoot = 1.05, beta: Share = 0.9
) -> Attack:
    """FAB: steps onto the nearest linearised boundary, for the smallest perturbation (Croce & Hein 2020)."""
    return FAB(steps, restarts, 0, alpha_max, eta, beta)


@ATTACKS.register("fab-t")
def fab_t(
    steps: Steps = 100,
    restarts: Steps = 1,
    targets: Steps = 9,
    alpha_max: Share = 0.1,
    eta: Overshoot = 1.05,
    beta: Share = 0.9,
) -> Attack:
    """FAB on the boundaries to one wrong class after the other (Croce & Hein 2020, as in AutoAttack)."""
    return FAB(steps, restarts, targets, alpha_max, eta, beta)
