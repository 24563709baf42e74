"""The one gradient loop: loss, input transforms, gradient transforms, ball, start and step rule are its parts.

Samples are in flight in a fixed number of slots. A sample that is done leaves its slot and the next one takes it,
with its own step counter, so that batches stay full and no pass is spent on a sample that is decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.attacks import Crafted, Model, Samples, Setting, fooled
from harness.attacks.transforms import GradientTransform, InputTransform, View
from harness.core.balls import ball_of
from harness.core.losses import LOSSES, Loss, LossName
from harness.core.numbers import length_in
from harness.core.randomness import Draws
from harness.core.threat import Norm, ThreatModel


class Flight(NamedTuple):
    """The samples in flight, one row each."""

    rows: Tensor
    """(B,) which samples."""
    indices: Tensor
    """(B,) their positions in the data set."""
    classes: Tensor
    """(B,) true or wanted classes."""
    images: Tensor
    """(B, C, H, W) clean images."""
    adversarial: Tensor
    """(B, C, H, W) current points."""
    steps: Tensor
    """(B,) steps made."""
    passes: Tensor
    """(B,) passes spent."""
    zero_gradient: Tensor
    """(B,) whether a gradient was exactly zero."""
    memories: tuple[Tensor, ...]
    """What each gradient transform remembers, (B, ...)."""

    def select(self, rows: Tensor) -> Flight:
        """Some of the rows."""
        memories = tuple(memory[rows] for memory in self.memories)
        return Flight._make([*(tensor[rows] for tensor in self[:-1]), memories])

    def put(self, rows: Tensor, other: Flight) -> None:
        """Overwrite rows in place."""
        for mine, new in zip((*self[:-1], *self.memories), (*other[:-1], *other.memories), strict=True):
            mine[rows] = new


@dataclass(frozen=True)
class GradientAttack:
    """Iterated steps along transformed input gradients inside a ball."""

    steps: int
    step_size: float | str
    """A length in units of the norm, or a share of epsilon such as "2.5 eps/steps"."""
    loss: LossName = "cross-entropy"
    inputs: tuple[InputTransform, ...] = ()
    gradients: tuple[GradientTransform, ...] = ()
    random_start: bool = False
    norms: frozenset[Norm] = frozenset({"linf", "l2"})
    version: str = "1"
    batch_dependent: bool = False

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """The step size as a number."""
        return {"step_size": length_in(self.step_size, threat.epsilon, self.steps)}

    def cost(self) -> int:
        """See `Attack`: steps times views."""
        views = 1
        for part in self.inputs:
            views *= getattr(part, "copies", 1)
        return self.steps * views

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Takes the first fooling point when it may stop, else the last one."""
        waiting = torch.arange(len(samples), device=samples.classes.device)
        flight = self._enter(samples, waiting[: setting.batch_size], setting)
        waiting = waiting[setting.batch_size :]
        while len(flight.rows):
            moved, done = self._step(model, flight, setting)
            if not done.any():
                flight = moved
                continue
            out = done.nonzero()[:, 0]
            yield Crafted(moved.rows[out], moved.adversarial[out], moved.passes[out], moved.zero_gradient[out])
            free, stay = out[: len(waiting)], ~done
            moved.put(free, self._enter(samples, waiting[: len(free)], setting))
            waiting = waiting[len(free) :]
            stay[free] = True
            flight = moved if len(free) == len(out) else moved.select(stay)

    def _enter(self, samples: Samples, rows: Tensor, setting: Setting) -> Flight:
        """Samples before their first step."""
        images = samples.pixels(rows)
        zeros = torch.zeros_like(rows)
        draws = Draws(setting.seed, samples.indices[rows], zeros, setting.run)
        start = ball_of(setting.threat).random_points(images, draws) if self.random_start else images
        return Flight(
            rows, draws.indices, samples.classes[rows], images, start.clone(), zeros, zeros.clone(),
            torch.zeros_like(rows, dtype=torch.bool), tuple(part.start(images) for part in self.gradients),
        )  # fmt: skip

    def _step(self, model: Model, flight: Flight, setting: Setting) -> tuple[Flight, Tensor]:
        """One step of every sample in flight, and which samples are done with it."""
        ball = ball_of(setting.threat)
        step_size = length_in(self.step_size, setting.threat.epsilon, self.steps)
        points = flight.adversarial
        for part, memory in zip(self.gradients, flight.memories, strict=True):
            points = part.look_ahead(points, memory, step_size)
        draws = Draws(setting.seed, flight.indices, flight.steps, setting.run)
        direction, logits = self._gradient(model, points, flight.classes, draws)
        if setting.threat.goal != "untargeted":
            direction = -direction
        vanished = direction.flatten(1).abs().amax(1) == 0
        memories = []
        for part, memory in zip(self.gradients, flight.memories, strict=True):
            direction, memory = part(direction, memory)
            memories.append(memory)
        adversarial = ball.project(flight.images, flight.adversarial + step_size * ball.steepest(direction))
        steps = flight.steps + 1
        done = steps >= self.steps
        if setting.stop_when_fooled:
            if logits is None or points is not flight.adversarial:
                with torch.no_grad():
                    logits = model(flight.adversarial)
            already = fooled(logits, flight.classes, setting.threat, setting.slack)
            adversarial = torch.where(already.view(-1, 1, 1, 1), flight.adversarial, adversarial)
            done |= already
        moved = flight._replace(
            adversarial=adversarial, steps=steps, passes=flight.passes + self.cost() // self.steps,
            zero_gradient=flight.zero_gradient | vanished, memories=tuple(memories),
        )  # fmt: skip
        return moved, done

    @torch.enable_grad()
    def _gradient(self, model: Model, points: Tensor, classes: Tensor, draws: Draws) -> tuple[Tensor, Tensor | None]:
        """Loss gradients at the points, averaged over views; and the logits there if no transform hides them."""
        loss = LOSSES[self.loss]
        if not self.inputs:
            return input_gradient(model, points, classes, loss)
        points = points.detach().requires_grad_()
        views = [View(None, points)]
        for part in self.inputs:
            views = [
                new for view in views for new in part(view, draws if view.rows is None else draws.select(view.rows))
            ]
        upstream = []
        for view in views:
            wanted = classes if view.rows is None else classes[view.rows]
            upstream.append(input_gradient(model, view.images, wanted, loss)[0])
        gradient = torch.autograd.grad([view.images for view in views], points, upstream)[0]
        return gradient, None


@torch.enable_grad()
def input_gradient(model: Model, images: Tensor, classes: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Gradient of the per-sample loss with respect to the images, and the logits. (N, C, H, W), (N, K).

    Zero where a model hides its gradient: entries that are not finite, and logits cut off from the images.
    """
    images = images.detach().requires_grad_()
    logits = model(images)
    if not logits.requires_grad:
        return torch.zeros_like(images), logits
    total = loss(logits, classes).sum()
    (gradient,) = torch.autograd.grad(total, images, allow_unused=True, materialize_grads=True)
    return torch.where(gradient.isfinite(), gradient, 0.0), logits.detach()
