"""The geometry of L1, where the projection is onto the ball and the range at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.core.randomness import Draws

CLOSE = 5e-7
"""Of a budget: how far a sum may lie from where it is aimed."""

MOST_TRIALS = 250
"""For a threshold: enough to halve an interval of floats until nothing is between its ends."""


def threshold(sizes: Tensor, rooms: Tensor, budget: float) -> Tensor:
    """(N, 1) what to take off all sizes, so that what is left, cut at its room, sums up to no more than the budget.

    `sizes` and `rooms` are (N, P), with sums above the budget at first; the sum comes out above 1 - 2 `CLOSE` of it. It
    falls in straight pieces, which the secant method follows; every eighth trial halves the bracket instead, where the
    pieces bend the other way.
    """

    def excess(taken: Tensor) -> Tensor:
        left = (sizes - taken).clamp_min_(0).minimum(rooms)
        return left.sum(1, keepdim=True, dtype=torch.float64) - budget * (1 - CLOSE)

    low, high = torch.zeros_like(sizes[:, :1]), sizes.amax(1, keepdim=True)
    before, excess_before = low, excess(low)
    taken = (excess_before / (sizes > 0).sum(1, keepdim=True)).to(sizes.dtype).minimum(high)
    found = torch.zeros_like(taken, dtype=torch.bool)
    for trial in range(1, MOST_TRIALS):
        over = excess(taken)
        here = over.abs() <= CLOSE * budget
        low = torch.where((over > 0) & ~found, taken, low)
        high = torch.where(((over <= 0) | here) & ~found, taken, high)
        found = found | here | (torch.nextafter(low, high) >= high)
        if found.all():
            break
        secant = (taken - over * (taken - before) / (over - excess_before)).to(sizes.dtype)
        before, excess_before = taken, over
        usable = (secant > low) & (secant < high) & (trial % 8 > 0)
        taken = torch.where(usable, secant, (low + high) / 2)
    return high


def add_inwards(values: Tensor, changes: Tensor) -> Tensor:
    """Values plus changes, rounded towards the values and cut at [0, 1]."""
    exact = values.double() + changes
    rounded = exact.to(values.dtype)
    outwards = (rounded - values.double()).abs() > (exact - values).abs()
    return torch.where(outwards, rounded.nextafter(values), rounded).clamp(0, 1)


@dataclass(frozen=True)
class L1Ball:
    """Sum of absolute pixel changes <= epsilon."""

    epsilon: float

    def project(self, images: Tensor, points: Tensor) -> Tensor:
        """Onto the intersection of the ball with [0, 1], which is not the one after the other (Croce & Hein 2021).

        The nearest point shrinks every change by one threshold and cuts it at the range.
        """
        projected, change = points.clamp(0, 1).contiguous(), (points - images).flatten()
        # L1 attacks change few pixels: only these are worked on, moved to the front of their rows.
        changed = change.nonzero()[:, 0]
        if not len(changed):
            return projected
        rows = changed.div(images.shape[1:].numel(), rounding_mode="floor")
        counts = rows.bincount(minlength=len(images))
        columns = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        start, change = images.flatten()[changed], change[changed]
        size, room = change.new_zeros(2, len(images), int(counts.max()))
        size[rows, columns] = change.abs()
        room[rows, columns] = torch.where(change > 0, 1 - start, start)
        outside = size.minimum(room).sum(1, dtype=torch.float64) > self.epsilon
        if outside.any():
            size[outside] -= threshold(size[outside], room[outside], self.epsilon)
            shrunk = size.clamp_min_(0).minimum(room)[rows, columns]
            moved = add_inwards(start, shrunk.copysign(change))
            projected.view(-1)[changed] = torch.where(outside[rows], moved, projected.view(-1)[changed])
        return projected

    def steepest(self, gradients: Tensor) -> Tensor:
        """The sign of the largest entry, at its place; the first of equals."""
        flat = gradients.flatten(1)
        places = flat.abs().argmax(1, keepdim=True)
        directions = torch.zeros_like(flat).scatter(1, places, flat.gather(1, places).sign())
        return directions.view_as(gradients)

    def per_pixel(self, images: Tensor) -> float:
        """See `Ball`."""
        return 1 / images.shape[1:].numel()

    def random_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Normal noise, projected, as the field's implementations draw it."""
        return self.project(images, images + draws.normal("start", *images.shape[1:]))

    def random_far_points(self, images: Tensor, draws: Draws) -> Tensor:
        """The same: the noise is far outside."""
        return self.random_points(images, draws)

    def distance(self, images: Tensor, points: Tensor) -> Tensor:
        """See `Ball`."""
        return (points.double() - images.double()).abs().flatten(1).sum(1)
