"""How APGD moves in L-inf and L2: momentum steps that halve (Croce & Hein 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from harness.attacks.ascent import Ascent, lookup
from harness.core.balls import ball_of
from harness.core.randomness import Draws
from harness.core.threat import ThreatModel

FIRST_CHECK, SOONER, SOONEST = 0.22, 0.03, 0.06
"""Steps before the first checkpoint, by how much fewer there are before each next one, and at least how many, as
shares of all steps."""

RISING = 0.75
"""Share of the steps between two checkpoints that must raise the loss for the step size to stay."""

MOMENTUM = 0.25
"""Share of the last move in the next one."""


@lru_cache
def intervals(steps: int) -> tuple[int, ...]:
    """For every number of steps made from 0 to `steps`: how long the interval is that a checkpoint ends there, or 0."""
    ends = [0] * (steps + 1)
    length, place = max(int(FIRST_CHECK * steps), 1), 0
    while place + length <= steps:
        place += length
        ends[place] = length
        length = max(length - max(int(SOONER * steps), 1), max(int(SOONEST * steps), 1))
    return tuple(ends)


@dataclass(frozen=True)
class Halving:
    """Momentum steps, twice the budget long at first.

    At checkpoints, a sample whose loss rose too seldom or not at all goes back to its best point with half the step.
    """

    steps: int

    def last(self) -> int:
        """See `Rule`."""
        return self.steps

    def is_first(self, passes: Tensor) -> Tensor:
        """See `Rule`."""
        return passes == 0

    def is_inside(self, passes: Tensor) -> Tensor:
        """See `Rule`."""
        return torch.ones_like(passes, dtype=torch.bool)

    def start(self, flight: Ascent, draws: Draws, threat: ThreatModel) -> None:
        """See `Rule`."""
        flight.adversarial = ball_of(threat).random_far_points(flight.images, draws)
        flight.previous = flight.adversarial.clone()
        flight.step_size.fill_(2 * threat.epsilon)

    def advance(self, flight: Ascent, gradient: Tensor, threat: ThreatModel) -> Tensor:
        """See `Rule`."""
        ball = ball_of(threat)
        point, gradient = self._check(flight, gradient)
        plain = ball.project(flight.images, point + flight.step_size * ball.steepest(gradient))
        momentum = MOMENTUM * (flight.steps > 0).view(-1, 1, 1, 1)
        move = (1 - momentum) * (plain - point) + momentum * (point - flight.previous)
        flight.previous = point
        return ball.project(flight.images, point + move)

    def _check(self, flight: Ascent, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """At checkpoints, halve steps that led nowhere: the points to go on from, and the gradients there."""
        interval = lookup(intervals(self.steps), flight.steps)
        due = interval > 0
        stuck = (flight.rises <= RISING * interval) | (~flight.halved & (flight.checked_loss >= flight.best_loss))
        flight.halved = torch.where(due, stuck, flight.halved)
        flight.checked_loss = torch.where(due, flight.best_loss, flight.checked_loss)
        flight.rises = torch.where(due, 0, flight.rises)
        halve = due & stuck
        flight.step_size = torch.where(halve.view(-1, 1, 1, 1), flight.step_size / 2, flight.step_size)
        return flight.back_to_best(halve, gradient)
