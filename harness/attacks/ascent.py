"""How APGD moves: momentum steps that halve (Croce & Hein 2020), and sparse steps in L1 (Croce & Hein 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from harness.attacks.slots import Flight
from harness.core.balls import L1Ball, ball_of
from harness.core.randomness import Draws
from harness.core.threat import ThreatModel


@dataclass
class Ascent(Flight):
    """Samples on their way up the loss, each with a step size of its own."""

    aimed: Tensor
    """(B,) class that a targeted loss aims at."""
    previous: Tensor
    """(B, C, H, W) the point before the current one."""
    best: Tensor
    """(B, C, H, W) the point of the highest loss so far."""
    best_gradient: Tensor
    """(B, C, H, W) the gradient there."""
    best_loss: Tensor
    """(B,)."""
    last_loss: Tensor
    """(B,) the loss at the previous point."""
    checked_loss: Tensor
    """(B,) the highest loss at the last checkpoint."""
    rises: Tensor
    """(B,) steps since the last checkpoint that raised the loss."""
    halved: Tensor
    """(B,) whether the step was halved at the last checkpoint."""
    step_size: Tensor
    """(B, 1, 1, 1)."""
    support: Tensor
    """(B,) number of pixels that differ from the clean image at the best point of the last checkpoint; L1 only."""
    share: Tensor
    """(B,) share of the pixels that a step moves; L1 only."""

    def back_to_best(self, where: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The points to go on from, the best ones for some samples, and the gradients there."""
        wide = where.view(-1, 1, 1, 1)
        return torch.where(wide, self.best, self.adversarial), torch.where(wide, self.best_gradient, gradient)


class Rule(Protocol):
    """How samples start and move. Passes of a run are counted from 0, the look at the start."""

    def last(self) -> int:
        """Number of the last pass of a run."""

    def is_first(self, passes: Tensor) -> Tensor:
        """(B,) whether the loss is looked at anew: what was best before does not count."""

    def is_inside(self, passes: Tensor) -> Tensor:
        """(B,) whether the points keep to the threat model's own budget."""

    def start(self, flight: Ascent, draws: Draws, threat: ThreatModel) -> None:
        """Set the first points and step sizes."""

    def advance(self, flight: Ascent, gradient: Tensor, threat: ThreatModel) -> Tensor:
        """The next points, from the gradients at the current ones."""


# --- L-inf and L2 ----------------------------------------------------------------------------------------------

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
        interval = _lookup(intervals(self.steps), flight.steps)
        due = interval > 0
        stuck = (flight.rises <= RISING * interval) | (~flight.halved & (flight.checked_loss >= flight.best_loss))
        flight.halved = torch.where(due, stuck, flight.halved)
        flight.checked_loss = torch.where(due, flight.best_loss, flight.checked_loss)
        flight.rises = torch.where(due, 0, flight.rises)
        halve = due & stuck
        flight.step_size = torch.where(halve.view(-1, 1, 1, 1), flight.step_size / 2, flight.step_size)
        return flight.back_to_best(halve, gradient)


def _lookup(table: tuple[float, ...], passes: Tensor) -> Tensor:
    return torch.tensor(table, device=passes.device)[passes.clamp_max(len(table) - 1)]


# --- L1 --------------------------------------------------------------------------------------------------------

BUDGETS = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))
"""Phases: multiples of the budget, and the shares of the steps spent in them."""

MOVED_SHARE = 1 / 1.5
"""Share of the changed pixels that a step moves."""

STILL_AS_MANY = 0.95
"""A support that shrank below this share of the last one starts again with the longest step."""

SHORTENING, SHORTEST = 1.5, 10.0
"""Factor by which steps shorten, and the largest one in all."""

BETWEEN_CHECKS = 0.04
"""Steps from one check to the next, as a share of those of the phase; at least one, and one up to 49."""


class Place(NamedTuple):
    """Where in its phase a pass is."""

    factor: float
    """The phase's multiple of the budget."""
    is_first: bool
    """The look at the start."""
    is_due: bool
    """Whether steps and sparsity are set anew."""
    is_last: bool
    """The next pass is another phase's."""


@dataclass(frozen=True)
class Sparse:
    """Signs of the largest gradient entries, in balls that shrink to the budget in three phases.

    How many entries a step moves follows from how many pixels the best point has changed so far.
    """

    steps: int

    def last(self) -> int:
        """See `Rule`: every phase looks at its start."""
        return len(places(self.steps)) - 1

    def is_first(self, passes: Tensor) -> Tensor:
        """See `Rule`."""
        return _lookup(tuple(place.is_first for place in places(self.steps)), passes)

    def is_inside(self, passes: Tensor) -> Tensor:
        """See `Rule`."""
        return self._factor(passes) == 1

    def start(self, flight: Ascent, draws: Draws, threat: ThreatModel) -> None:
        """See `Rule`."""
        widest = ThreatModel(threat.norm, BUDGETS[0][0] * threat.epsilon)
        flight.adversarial = ball_of(widest).random_far_points(flight.images, draws)
        self._enter_phase(flight, torch.ones_like(flight.zero_gradient), flight.adversarial, widest.epsilon)

    def advance(self, flight: Ascent, gradient: Tensor, threat: ThreatModel) -> Tensor:
        """See `Rule`."""
        radius = threat.epsilon * self._factor(flight.steps)
        point, gradient = self._check(flight, gradient, radius)
        ahead = point + flight.step_size * sparse_sign(gradient, flight.share)
        ending = _lookup(tuple(place.is_last for place in places(self.steps)), flight.steps)
        ahead = torch.where(ending.view(-1, 1, 1, 1), flight.best, ahead)
        following = threat.epsilon * self._factor(flight.steps + 1)
        for size in following.unique().tolist():
            rows = following == size
            ahead[rows] = L1Ball(size).project(flight.images[rows], ahead[rows])
            self._enter_phase(flight, rows & ending, ahead, size)
        return ahead

    def _check(self, flight: Ascent, gradient: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
        """Set the length of the next steps and their number of pixels, where a check is due."""
        due = _lookup(tuple(place.is_due for place in places(self.steps)), flight.steps)
        support = (flight.best != flight.images).flatten(1).sum(1).float()
        shrunk = support < STILL_AS_MANY * flight.support
        longest = radius.view(-1, 1, 1, 1)
        shorter = (flight.step_size / SHORTENING).maximum(longest / SHORTEST)
        length = torch.where(shrunk.view(-1, 1, 1, 1), longest, shorter)
        flight.step_size = torch.where(due.view(-1, 1, 1, 1), length, flight.step_size)
        flight.share = torch.where(due, support / gradient[0].numel() * MOVED_SHARE, flight.share)
        flight.support = torch.where(due, support, flight.support)
        return flight.back_to_best(due & shrunk, gradient)

    def _enter_phase(self, flight: Ascent, rows: Tensor, points: Tensor, radius: float) -> None:
        support = (points != flight.images).flatten(1).sum(1).float()
        flight.support = torch.where(rows, support, flight.support)
        flight.share = torch.where(rows, support / points[0].numel() * MOVED_SHARE, flight.share)
        flight.step_size = torch.where(rows.view(-1, 1, 1, 1), radius, flight.step_size)

    def _factor(self, passes: Tensor) -> Tensor:
        return _lookup(tuple(place.factor for place in places(self.steps)), passes)


@lru_cache(maxsize=8)
def places(steps: int) -> tuple[Place, ...]:
    """Where in its phase every pass of an attack in L1 is."""
    counts = [math.ceil(share * steps) for _, share in BUDGETS[:-1]]
    counts.append(max(steps - sum(counts), 0))
    return tuple(
        Place(factor, number == 0, number > 0 and number % checks(count) == 0, number == count)
        for (factor, _), count in zip(BUDGETS, counts, strict=True)
        for number in range(count + 1)
    )


def checks(steps: int) -> int:
    """Every how many steps of a phase of that many there is a check."""
    return max(int(BETWEEN_CHECKS * steps), 1)


def sparse_sign(gradient: Tensor, share: Tensor) -> Tensor:
    """Signs of the largest entries, of length 1 in L1 together. (N, C, H, W), (N,) shares of the entries."""
    size = gradient.abs().flatten(1)
    place = ((1 - share) * size.shape[1]).clamp(0, size.shape[1] - 1).long()
    threshold = size.sort(1).values.gather(1, place[:, None])
    signs = gradient.flatten(1).sign() * (size >= threshold)
    return (signs / signs.abs().sum(1, keepdim=True).clamp_min(1)).view_as(gradient)
