"""The shortest step onto a hyperplane that stays in [0, 1], in three norms (Croce & Hein 2020).

A step d changes w.t by w.d, at most by |w_i| times the room that pixel i has before it leaves [0, 1]. In L-inf and
L2, the sizes of all changes rise together with one level, until what is missing is reached: an increasing, concave,
piecewise linear function of the level, on which Newton's method needs a few sums and no sorting. In L1, the pixels of
the largest weights are used up one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from harness.core.threat import Norm

ORDERS: dict[Norm, float] = {"linf": math.inf, "l2": 2.0, "l1": 1.0}

DUAL_ORDERS: dict[Norm, float] = {"linf": 1.0, "l2": 2.0, "l1": math.inf}

NEWTON_STEPS = 30
"""Every step divides (what is missing) x (slope) by at least four; a handful is usual."""

CONVERGED = 1e-9
"""Relative rise of the level below which nothing that float32 can tell is missing."""


def length(changes: Tensor, norm: Norm) -> Tensor:
    """(..., D) to (...), float64."""
    measured: Tensor = torch.linalg.vector_norm(changes, ORDERS[norm], dim=-1, dtype=torch.float64)
    return measured


def dual_length(normals: Tensor, norm: Norm) -> Tensor:
    """How much w.d a step d of length one can reach. (..., D) to (...), float64."""
    measured: Tensor = torch.linalg.vector_norm(normals, DUAL_ORDERS[norm], dim=-1, dtype=torch.float64)
    return measured


def dot(normals: Tensor, points: Tensor) -> Tensor:
    """Row by row, summed in float64. (B, D), (B, D) to (B, 1)."""
    return _total(normals * points)


def step_onto(norm: Norm, points: Tensor, normals: Tensor, offsets: Tensor) -> Tensor:
    """The shortest changes d with w.(t + d) = b and 0 <= t + d <= 1, for points t, normals w and offsets b.

    Where the hyperplane does not meet [0, 1], every pixel with a weight goes to its end of the range that is nearer
    to the hyperplane. (B, D) in [0, 1], (B, D) finite, (B, 1) to (B, D).
    """
    missing = offsets - dot(normals, points)
    towards = normals.sign() * missing.sign().to(normals.dtype)
    # 1 - t where w.d grows with the pixel, else t; sums are many times faster than a choice pixel by pixel.
    room = torch.addcmul(points, (towards > 0).to(points.dtype), 1 - 2 * points)
    # The largest weight becomes 1: squares of very small ones would underflow.
    largest = normals.abs().amax(1, keepdim=True)
    largest = torch.where(largest > 0, largest, 1.0)
    return towards * SIZES[norm](normals.abs() / largest, room, missing.abs() / largest)


def together(weights: Tensor, room: Tensor, missing: Tensor, proportional: bool) -> Tensor:
    """Sizes min(level, room), or min(level x weight, room), with weights . sizes = missing. (B, D), (B, D), (B, 1).

    At every level, the pixels without room contribute all they can and the others rise at a constant rate; the next
    level is where these would reach what is missing. Since further pixels run out of room on the way, no level is too
    high, and the last one is exact.
    """
    rates = weights if proportional else torch.ones_like(weights)
    most, speeds = weights * room, weights * rates
    ends = (room / rates).nan_to_num(0.0, posinf=0.0) if proportional else room * (weights > 0)
    level, all_of_it = torch.zeros_like(missing), _total(most)
    for _ in range(NEWTON_STEPS):
        rising = (ends > level.to(ends.dtype)).to(ends.dtype)
        speed = _total(rising * speeds)
        higher = (missing - (all_of_it - _total(rising * most))) / speed
        higher = torch.where(speed > 0, higher, level)
        converged = higher <= level * (1 + CONVERGED)
        level = level.maximum(higher)
        if converged.all():
            break
    return (level.to(rates.dtype) * rates).minimum(room)


def one_by_one(weights: Tensor, room: Tensor, missing: Tensor) -> Tensor:
    """Sizes that use up the room of the largest weights first, with weights . sizes = missing. As `together`."""
    order = weights.argsort(dim=1, descending=True, stable=True)
    most = (weights * room).gather(1, order).double()
    before = most.cumsum(1) - most
    shares = torch.where(most > 0, (missing - before) / most, 0.0).clamp(0, 1)
    return room * torch.zeros_like(room).scatter(1, order, shares.to(room.dtype))


SIZES: dict[Norm, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "linf": partial(together, proportional=False), "l2": partial(together, proportional=True), "l1": one_by_one,
}  # fmt: skip


def _total(terms: Tensor) -> Tensor:
    return terms.sum(1, keepdim=True, dtype=torch.float64)
