"""The one gradient loop: loss, input transforms, gradient transforms, ball, start and step rule are its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from harness.attacks import Crafted, Model, Plain, Samples, Setting, fooled
from harness.attacks.gradient_transforms import GradientTransform, NesterovMomentum
from harness.attacks.input_transforms import InputTransform, View
from harness.attacks.slope import input_gradient
from harness.attacks.slots import Flight, fly, looks_after, takeoff
from harness.attacks.variance import VarianceTuning
from harness.core.balls import ball_of
from harness.core.losses import LOSSES, LossName
from harness.core.numbers import length_in
from harness.core.randomness import Draws
from harness.core.threat import Norm, ThreatModel


@dataclass
class Climb(Flight):
    """Samples on their way up the loss."""

    memories: tuple[Tensor, ...]
    """What each gradient transform remembers, (B, ...)."""
    variance: Tensor
    """What variance tuning remembers, (B, ...)."""


@dataclass(frozen=True)
class GradientAttack(Plain):
    """Iterated steps along transformed input gradients inside a ball."""

    steps: int
    step_size: float | str
    """A length in units of the norm, or a share of epsilon such as "2.5 eps/steps"."""
    loss: LossName = "cross-entropy"
    inputs: tuple[InputTransform, ...] = ()
    tuning: VarianceTuning | None = None
    gradients: tuple[GradientTransform, ...] = ()
    random_start: bool = False
    runs: int = 1
    """Runs from different random starts; only survivors meet the next one."""
    eot: int = 1
    """Passes whose gradients and logits are averaged, for models that answer at random (Athalye et al. 2018)."""
    norms: frozenset[Norm] = frozenset({"linf", "l2"})

    @property
    def whole_batches(self) -> bool:
        """See `harness.attacks.whole_batches`: unless diverse inputs of two sizes are shown one after the other."""
        return all(getattr(part, "restore", True) for part in self.inputs)

    @property
    def version(self) -> str:
        """See `Attack`. Up to version 1, NI looked tens of steps ahead in L2."""
        return "2" if self._nesterov else "1"

    @property
    def _nesterov(self) -> bool:
        return any(isinstance(part, NesterovMomentum) for part in self.gradients)

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """The step size as a number."""
        return {"step_size": length_in(self.step_size, threat.epsilon, self.steps)}

    def cost(self, setting: Setting) -> int:
        """See `Attack`: runs times steps times what a step looks at; the point itself only where it may be the last."""
        look = setting.stop_when_fooled and self._looks_elsewhere
        return self.runs * self.steps * (self._passes_per_step() + look) + looks_after(self.runs)

    @property
    def _looks_elsewhere(self) -> bool:
        """Whether gradients are taken away from the points that are proposed, so that the logits there are unknown."""
        return bool(self.inputs) or self._nesterov

    def _passes_per_step(self) -> int:
        """Points times views times repeats."""
        views: int = prod(getattr(part, "copies", 1) for part in self.inputs)
        return (1 + self.tuning.neighbours if self.tuning else 1) * views * self.eot

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Takes the first fooling point when it may stop, else the last one."""
        return fly(self, model, samples, setting)

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Climb:
        """See `Stepper`."""
        fields = takeoff(samples, rows, runs)
        images = fields["images"]
        flight = Climb(
            **fields,
            memories=tuple(part.start(images) for part in self.gradients),
            variance=self.tuning.start(images) if self.tuning else images.new_empty(len(images), 0),
        )
        if self.random_start:
            flight.adversarial = ball_of(setting.threat).random_points(flight.images, flight.draws(setting))
        return flight

    def step(self, model: Model, flight: Climb, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`."""
        ball = ball_of(setting.threat)
        step_size = length_in(self.step_size, setting.threat.epsilon, self.steps)
        points = flight.adversarial
        for part, memory in zip(self.gradients, flight.memories, strict=True):
            points = part.look_ahead(points, memory, step_size * ball.per_pixel(points))
        draws = flight.draws(setting)
        direction, logits = self._uphill(model, View(None, points), flight.classes, draws, setting)
        flight.zero_gradient |= direction.abs().amax((1, 2, 3)) == 0
        if self.tuning:

            def nearby(noise: Tensor, name: str) -> Tensor:
                neighbours = View(None, flight.adversarial + setting.threat.epsilon * noise, name)
                return self._uphill(model, neighbours, flight.classes, draws, setting)[0]

            direction, flight.variance = self.tuning(direction, flight.variance, draws, nearby)
        memories = []
        for part, memory in zip(self.gradients, flight.memories, strict=True):
            direction, memory = part(direction, memory)
            memories.append(memory)
        adversarial = ball.project(flight.images, flight.adversarial + step_size * ball.steepest(direction))
        already = torch.zeros_like(flight.zero_gradient)
        if setting.stop_when_fooled:
            if logits is None or points is not flight.adversarial:
                with torch.no_grad():
                    logits = model(flight.adversarial)
                flight.passes += 1
            already = fooled(logits, flight.classes, setting.threat, setting.slack)
            adversarial = torch.where(already.view(-1, 1, 1, 1), flight.adversarial, adversarial)
        flight.adversarial, flight.memories = adversarial, tuple(memories)
        flight.steps += 1
        flight.passes += self._passes_per_step()
        return already | (flight.steps >= self.steps), already

    @torch.enable_grad()
    def _uphill(
        self, model: Model, at: View, classes: Tensor, draws: Draws, setting: Setting
    ) -> tuple[Tensor, Tensor | None]:
        """Towards the goal from some points, averaged over views; the logits there if no transform hides them."""
        sign = 1 if setting.threat.goal == "untargeted" else -1
        loss = LOSSES[self.loss]
        if not self.inputs:
            gradient, logits, _ = input_gradient(model, at.images, classes, loss, self.eot)
            return sign * gradient, logits
        points = at.images.detach().requires_grad_()
        views = [at._replace(images=points)]
        for part in self.inputs:
            views = [
                new
                for view in views
                for new in part(view, draws if view.rows is None else draws.select(view.rows), setting.pool)
            ]
        upstream = []
        for view in views:
            wanted = classes if view.rows is None else classes[view.rows]
            upstream.append(input_gradient(model, view.images, wanted, loss, self.eot).gradient)
        # Handed to `grad` as they are, they would make torch load a computer algebra system to check their shapes.
        rises = [(view.images * part).sum() for view, part in zip(views, upstream, strict=True)]
        gradient = torch.autograd.grad(rises, points)[0]
        return sign * gradient, None
