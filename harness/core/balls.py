"""The geometry of a norm lives in one class; no other file branches on the norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.core.randomness import Draws
from harness.core.threat import ThreatModel

TINY = 1e-12
"""Keeps a zero gradient at zero where a norm divides."""


class Ball(Protocol):
    """Images near a clean image, inside [0, 1]. All images are (N, C, H, W)."""

    @property
    def epsilon(self) -> float:
        """Radius."""

    def project(self, images: Tensor, points: Tensor) -> Tensor:
        """The points brought back into the ball around `images` and into [0, 1]."""

    def steepest(self, gradients: Tensor) -> Tensor:
        """The directions of length 1 in this norm along which a linear function rises fastest; 0 for gradient 0."""

    def random_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Random points of the ball and of [0, 1]."""

    def random_far_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Random points as far out as the ball and [0, 1] go, where APGD starts (Croce & Hein 2020, 2021)."""

    def distance(self, images: Tensor, points: Tensor) -> Tensor:
        """(N,) lengths of the perturbations, computed in float64."""


def l2_norm(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 1, 1, 1).

    Rows first, their norms in float64: one float32 sum over 3 x 224 x 224 pixels is off by 1e-6 to 6e-5, which is
    enough to leave the ball.
    """
    rows = torch.linalg.vector_norm(x, dim=-1).flatten(1)
    lengths: Tensor = torch.linalg.vector_norm(rows.double(), dim=1)
    return lengths.to(x.dtype).view(-1, 1, 1, 1)


@dataclass(frozen=True)
class LinfBall:
    """max |perturbation| <= epsilon."""

    epsilon: float

    def project(self, images: Tensor, points: Tensor) -> Tensor:
        """See `Ball`."""
        return points.clamp(images - self.epsilon, images + self.epsilon).clamp(0, 1)

    def steepest(self, gradients: Tensor) -> Tensor:
        """The sign."""
        return gradients.sign()

    def random_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Uniform in the cube."""
        noise = 2 * draws.uniform("start", *images.shape[1:]) - 1
        return (images + self.epsilon * noise).clamp(0, 1)

    def random_far_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Uniform in the cube, stretched until one pixel reaches its face."""
        noise = 2 * draws.uniform("start", *images.shape[1:]) - 1
        noise = noise / noise.flatten(1).abs().amax(1).view(-1, 1, 1, 1)
        return self.project(images, images + self.epsilon * noise)

    def distance(self, images: Tensor, points: Tensor) -> Tensor:
        """See `Ball`."""
        return (points.double() - images.double()).abs().flatten(1).amax(1)


@dataclass(frozen=True)
class L2Ball:
    """Euclidean length of the perturbation <= epsilon."""

    epsilon: float

    def project(self, images: Tensor, points: Tensor) -> Tensor:
        """Radially onto the ball, then into [0, 1], which shortens the perturbation further."""
        perturbation = points - images
        length = l2_norm(perturbation)
        onto = images + perturbation * (self.epsilon / length.clamp_min(TINY))
        # Where all pixels are rounded the same way, their sum leaves the ball again: back by one float each.
        rounded_out = (l2_norm(onto - images) > self.epsilon * (1 + 5e-7)).flatten()
        onto[rounded_out] = torch.nextafter(onto[rounded_out], images[rounded_out])
        inside = ~(length > self.epsilon).flatten()
        onto[inside] = points[inside]
        return onto.clamp_(0, 1)

    def steepest(self, gradients: Tensor) -> Tensor:
        """The unit vector along the gradient.

        Gradients are scaled by their largest entry first: the squares of very small ones would underflow.
        """
        largest = gradients.abs().flatten(1).amax(1).view(-1, 1, 1, 1)
        scaled = gradients / torch.where(largest > 0, largest, 1.0)
        return scaled / l2_norm(scaled).clamp_min(TINY)

    def random_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Uniform direction, uniform length, as the field's implementations draw it."""
        direction = draws.normal("start", *images.shape[1:])
        length = self.epsilon * draws.uniform("start/length", 1, 1, 1)
        return (images + length * direction / l2_norm(direction).clamp_min(TINY)).clamp(0, 1)

    def random_far_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Uniform on the sphere."""
        direction = draws.normal("start", *images.shape[1:])
        return self.project(images, images + self.epsilon * direction / l2_norm(direction).clamp_min(TINY))

    def distance(self, images: Tensor, points: Tensor) -> Tensor:
        """See `Ball`."""
        return l2_norm(points.double() - images.double()).flatten()


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

    def random_points(self, images: Tensor, draws: Draws) -> Tensor:
        """Normal noise, projected, as the field's implementations draw it."""
        return self.project(images, images + draws.normal("start", *images.shape[1:]))

    def random_far_points(self, images: Tensor, draws: Draws) -> Tensor:
        """The same: the noise is far outside."""
        return self.random_points(images, draws)

    def distance(self, images: Tensor, points: Tensor) -> Tensor:
        """See `Ball`."""
        return (points.double() - images.double()).abs().flatten(1).sum(1)


BALLS: dict[str, type[LinfBall] | type[L2Ball] | type[L1Ball]] = {"linf": LinfBall, "l2": L2Ball, "l1": L1Ball}


def ball_of(threat: ThreatModel) -> Ball:
    """The ball of a threat model."""
    return BALLS[threat.norm](threat.epsilon)
