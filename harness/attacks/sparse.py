"""How APGD moves in L1: sparse steps in balls that shrink to the budget (Croce & Hein 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from harness.attacks.ascent import Ascent, lookup
from harness.core.balls import ball_of
from harness.core.l1 import L1Ball
from harness.core.randomness import Draws
from harness.core.threat import ThreatModel

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
        return lookup(tuple(place.is_first for place in places(self.steps)), passes)

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
        ending = lookup(tuple(place.is_last for place in places(self.steps)), flight.steps)
        ahead = torch.where(ending.view(-1, 1, 1, 1), flight.best, ahead)
        following = threat.epsilon * self._factor(flight.steps + 1)
        for size in following.unique().tolist():
            rows = following == size
            ahead[rows] = L1Ball(size).project(flight.images[rows], ahead[rows])
            self._enter_phase(flight, rows & ending, ahead, size)
        return ahead

    def _check(self, flight: Ascent, gradient: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
        """Set the length of the next steps and their number of pixels, where a check is due."""
        due = lookup(tuple(place.is_due for place in places(self.steps)), flight.steps)
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
        return lookup(tuple(place.factor for place in places(self.steps)), passes)


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
