"""Auto-PGD: gradient ascent that needs no tuning (Croce & Hein 2020; in L1, Croce & Hein 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks import ATTACKS, Attack, Crafted, Model, Plain, Samples, Setting, fooled
from harness.attacks.ascent import Ascent, Rule
from harness.attacks.halving import Halving
from harness.attacks.slope import input_gradient
from harness.attacks.slots import fly, looks_after, takeoff
from harness.attacks.sparse import Sparse
from harness.core.errors import HarnessError
from harness.core.losses import LOSSES, Loss, targeted_dlr
from harness.core.threat import Norm, ThreatModel


@dataclass(frozen=True)
class APGD(Plain):
    """Auto-PGD on the cross-entropy, the DLR loss, or the targeted DLR loss for one class after the other."""

    steps: int = 100
    restarts: int = 1
    loss: Literal["cross-entropy", "dlr"] = "cross-entropy"
    """The loss when no class is aimed at."""
    targets: int = 0
    """Number of classes aimed at, by descending clean logit; 0 for none."""
    eot: int = 1
    """Passes whose gradients are averaged, for randomised models."""
    norms: frozenset[Norm] = frozenset({"linf", "l2", "l1"})
    whole_batches: bool = True
    """See `harness.attacks.whole_batches`."""

    @property
    def runs(self) -> int:
        """Restarts of every class aimed at."""
        return self.restarts * max(self.targets, 1)

    def cost(self, setting: Setting) -> int:
        """See `Attack`: looks at the start and after every step, and one that ranks the classes aimed at."""
        looks = (self._rule(setting.threat).last() + 1) * self.eot
        return self.runs * (looks + bool(self.targets)) + looks_after(self.runs)

    def _rule(self, threat: ThreatModel) -> Rule:
        return Sparse(self.steps) if threat.norm == "l1" else Halving(self.steps)

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model.

        Raises:
            HarnessError: for a targeted goal with a loss that is made for untargeted ones.
        """
        if threat.goal != "untargeted" and (self.targets or self.loss == "dlr"):
            raise HarnessError('the DLR losses are made for the goal "untargeted"; use apgd-ce, or another goal')
        return {}

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Takes the first fooling point when it may stop, else the one of the highest loss."""
        return fly(Climber(self, self._rule(setting.threat)), model, samples, setting)


@dataclass(frozen=True)
class Climber:
    """APGD in one norm."""

    attack: APGD
    rule: Rule

    @property
    def runs(self) -> int:
        """See `Stepper`."""
        return self.attack.runs

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Ascent:
        """See `Stepper`."""
        fields = takeoff(samples, rows, runs)
        images, aimed = fields["images"], fields["classes"].clone()
        if self.attack.targets:
            with torch.no_grad():
                others = ranked_others(model(images), aimed)
            fields["passes"] += 1
            rank = runs.div(self.attack.restarts, rounding_mode="floor")
            aimed = others.gather(1, rank.clamp_max(others.shape[1] - 1)[:, None])[:, 0]
            # With fewer classes than targets, a run without a class is over before it begins, and so are the rest.
            beyond = rank >= others.shape[1]
            fields["steps"] = torch.where(beyond, self.rule.last() + 1, fields["steps"])
            fields["runs"] = torch.where(beyond, self.runs - 1, runs)
        lowest, none = torch.full(rows.shape, -torch.inf, device=images.device), torch.zeros_like(rows)
        flight = Ascent(
            **fields, aimed=aimed, previous=images.clone(), best=images.clone(),
            best_gradient=torch.zeros_like(images), best_loss=lowest, last_loss=lowest.clone(),
            # No step was taken yet, so that none can be blamed for a lack of progress.
            checked_loss=lowest.clone(), rises=none, halved=torch.ones_like(fields["zero_gradient"]),
            step_size=torch.zeros(len(rows), 1, 1, 1, device=images.device), support=none.float(), share=none.float(),
        )  # fmt: skip
        self.rule.start(flight, flight.draws(setting), setting.threat)
        return flight

    def step(self, model: Model, flight: Ascent, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`."""
        gradient, already = self._look(model, flight, setting)
        ahead = self.rule.advance(flight, gradient, setting.threat)
        done = already | (flight.steps >= self.rule.last())
        proposal = torch.where(already.view(-1, 1, 1, 1), flight.adversarial, flight.best)
        flight.adversarial = torch.where(done.view(-1, 1, 1, 1), proposal, ahead)
        flight.steps = flight.steps + 1
        return done, already

    def _look(self, model: Model, flight: Ascent, setting: Setting) -> tuple[Tensor, Tensor]:
        """Gradient at the current points, and which of these fool the model; the best points are kept."""
        sign = 1 if setting.threat.goal == "untargeted" else -1
        loss = self._loss(flight)
        gradient, logits, losses = input_gradient(
            model, flight.adversarial, flight.classes, loss, repeats=self.attack.eot
        )
        gradient, losses = sign * gradient, (sign * losses).nan_to_num(-torch.inf)
        first, running = self.rule.is_first(flight.steps), flight.steps <= self.rule.last()
        better = (losses > flight.best_loss) | first
        flight.passes += self.attack.eot
        flight.zero_gradient |= (gradient.abs().amax((1, 2, 3)) == 0) & running
        flight.rises += (losses > flight.last_loss) & ~first
        flight.last_loss = losses
        flight.best_loss = torch.where(better, losses, flight.best_loss)
        flight.checked_loss = torch.where(first, losses, flight.checked_loss)
        wide = better.view(-1, 1, 1, 1)
        flight.best = torch.where(wide, flight.adversarial, flight.best)
        flight.best_gradient = torch.where(wide, gradient, flight.best_gradient)
        success = fooled(logits, flight.classes, setting.threat, setting.slack) & self.rule.is_inside(flight.steps)
        return gradient, success & running & setting.stop_when_fooled

    def _loss(self, flight: Ascent) -> Loss:
        if not self.attack.targets:
            return LOSSES[self.attack.loss]
        return lambda logits, classes: targeted_dlr(logits, classes, flight.aimed)


def ranked_others(logits: Tensor, classes: Tensor) -> Tensor:
    """(N, K - 1) all classes but the true one, by descending logit."""
    order = logits.nan_to_num(-torch.inf).sort(dim=1, descending=True, stable=True).indices
    others: Tensor = order[order != classes[:, None]].view(len(logits), -1)
    return others


Count = Annotated[int, Field(ge=1)]


@ATTACKS.register("apgd-ce")
def apgd_ce(steps: Count = 100, restarts: Count = 1, eot: Count = 1) -> Attack:
    """APGD on the cross-entropy (Croce & Hein 2020)."""
    return APGD(steps, restarts, eot=eot)


@ATTACKS.register("apgd-dlr")
def apgd_dlr(steps: Count = 100, restarts: Count = 1, eot: Count = 1) -> Attack:
    """APGD on the difference of logits ratio (Croce & Hein 2020)."""
    return APGD(steps, restarts, "dlr", eot=eot)


@ATTACKS.register("apgd-t")
def apgd_t(steps: Count = 100, restarts: Count = 1, targets: Count = 9, eot: Count = 1) -> Attack:
    """APGD on the targeted DLR loss, for one wrong class after the other (Croce & Hein 2020)."""
    return APGD(steps, restarts, targets=targets, eot=eot)
