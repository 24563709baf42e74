"""The step onto a hyperplane, against linear programs, other feasible points and closed forms."""

from __future__ import annotations

from typing import NamedTuple, get_args

import numpy as np
import pytest
import torch
from scipy.optimize import brentq, linprog
from torch import Tensor

from harness.attacks.hyperplane import NEWTON_STEPS, dot, dual_length, length, step_onto
from harness.core.threat import Norm

NORMS = get_args(Norm)


class Problem(NamedTuple):
    """Points, normals and offsets, (B, D), (B, D), (B, 1)."""

    points: Tensor
    normals: Tensor
    offsets: Tensor

    def step(self, norm: Norm) -> Tensor:
        return step_onto(norm, *self)

    def missing(self, changes: Tensor) -> Tensor:
        return (self.offsets - dot(self.normals, self.points + changes))[:, 0]


def through_the_box(rows: int, size: int, seed: int = 0) -> Problem:
    """Random points, some at the ends of the range, and hyperplanes through other random points: in float64."""
    generator = torch.Generator().manual_seed(seed)
    points, others = (
        (1.5 * torch.rand(rows, size, generator=generator, dtype=torch.float64) - 0.25).clamp(0, 1) for _ in range(2)
    )
    normals = torch.randn(rows, size, generator=generator, dtype=torch.float64)
    normals[:, ::4] = 0
    return Problem(points, normals, dot(normals, others))


def shortest_linf(point: Tensor, normal: Tensor, offset: float) -> float:
    """Minimise r subject to |d_i| <= r, as a linear program in (d, r)."""
    size, low, high = len(point), -point, 1 - point
    sides = torch.cat([torch.eye(size), -torch.eye(size)]).double()
    bounds = [*zip(low.tolist(), high.tolist(), strict=True), (0, None)]
    answer = linprog(
        [0] * size + [1], np.hstack([sides, -np.ones((2 * size, 1))]), np.zeros(2 * size),
        [[*normal.tolist(), 0]], [offset - float(normal @ point)], bounds,
    )  # fmt: skip
    assert answer.success
    return float(answer.fun)


def shortest_l1(point: Tensor, normal: Tensor, offset: float) -> float:
    """Minimise the sum of ups and downs, as a linear program."""
    ups, downs = [(0, room) for room in (1 - point).tolist()], [(0, room) for room in point.tolist()]
    answer = linprog(
        [1] * (2 * len(point)), None, None, [[*normal.tolist(), *(-normal).tolist()]],
        [offset - float(normal @ point)], ups + downs,
    )  # fmt: skip
    assert answer.success
    return float(answer.fun)


def shortest_l2(point: Tensor, normal: Tensor, offset: float) -> float:
    """By its Lagrange multiplier: the clipped line along the normal meets the hyperplane once."""
    t, w = point.numpy(), normal.numpy()

    def gap(multiplier: float) -> float:
        return float(w @ np.clip(t + multiplier * w, 0, 1)) - offset

    multiplier = brentq(gap, -1e6, 1e6, xtol=1e-15, rtol=1e-14, maxiter=500)
    return float(np.linalg.norm(np.clip(t + multiplier * w, 0, 1) - t))


SHORTEST = {"linf": shortest_linf, "l2": shortest_l2, "l1": shortest_l1}


@pytest.mark.parametrize("norm", NORMS)
def test_the_step_reaches_the_hyperplane_inside_the_range(norm: Norm) -> None:
    problem = through_the_box(200, 12)
    changes = problem.step(norm)
    assert problem.missing(changes).abs().max() < 1e-12
    assert (problem.points + changes).min() > -1e-12
    assert (problem.points + changes).max() < 1 + 1e-12
    assert (changes[:, ::4] == 0).all(), "pixels without weight stay"


@pytest.mark.parametrize("norm", NORMS)
def test_the_step_is_as_long_as_the_optimum_of_a_solver(norm: Norm) -> None:
    problem = through_the_box(40, 6, seed=1)
    expected = [
        SHORTEST[norm](point, normal, float(offset))
        for point, normal, offset in zip(problem.points, problem.normals, problem.offsets[:, 0], strict=True)
    ]
    torch.testing.assert_close(length(problem.step(norm), norm), torch.tensor(expected).double(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_no_feasible_point_is_nearer(norm: Norm) -> None:
    problem = through_the_box(50, 5, seed=2)
    shortest = length(problem.step(norm), norm)
    generator, tried = torch.Generator().manual_seed(3), 0
    for _ in range(200):
        above, below = torch.rand(2, 50, 5, generator=generator, dtype=torch.float64)
        heights = [dot(problem.normals, corner) - problem.offsets for corner in (above, below)]
        share = heights[0] / (heights[0] - heights[1])
        between = above + share * (below - above)
        valid = ((share >= 0) & (share <= 1))[:, 0]
        tried += int(valid.sum())
        assert (length(between - problem.points, norm) >= shortest * (1 - 1e-9))[valid].all()
    assert tried > 1000


@pytest.mark.parametrize("norm", NORMS)
def test_a_point_on_the_hyperplane_stays(norm: Norm) -> None:
    problem = through_the_box(100, 12, seed=4)
    there = (problem.points + problem.step(norm)).clamp(0, 1)
    assert step_onto(norm, there, problem.normals, problem.offsets).abs().max() < 1e-12
    there = torch.full((1, 3), 0.5)
    weights = torch.tensor([[1.0, -2.0, 4.0]])
    assert (step_onto(norm, there, weights, torch.tensor([[1.5]])) == 0).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("side", [-1, 1])
def test_out_of_reach_every_pixel_with_a_weight_goes_to_its_better_end(norm: Norm, side: int) -> None:
    problem = through_the_box(50, 12, seed=5)
    reach = side * problem.normals.clamp(*((0, None) if side > 0 else (None, 0))).sum(1, keepdim=True).abs()
    moved = problem.points + step_onto(norm, problem.points, problem.normals, reach + side)
    ends = ((side * problem.normals) > 0).double()
    expected = torch.where(problem.normals == 0, problem.points, ends)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_where_no_pixel_runs_out_of_room_the_length_is_the_gap_over_the_dual_norm(norm: Norm) -> None:
    normals = torch.randn(20, 9, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    points = torch.full_like(normals, 0.5)
    gap = torch.linspace(-0.05, 0.05, 20).double()[:, None]
    changes = step_onto(norm, points, normals, dot(normals, points) + gap)
    torch.testing.assert_close(length(changes, norm), gap[:, 0].abs() / dual_length(normals, norm))


@pytest.mark.parametrize("norm", NORMS)
def test_a_hyperplane_without_a_normal_moves_nothing(norm: Norm) -> None:
    assert (step_onto(norm, torch.rand(3, 4), torch.zeros(3, 4), torch.ones(3, 1)) == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8, 1e15])
@pytest.mark.parametrize("norm", NORMS)
def test_the_scale_of_the_normal_does_not_matter(norm: Norm, scale: float) -> None:
    points, normals, offsets = through_the_box(30, 12, seed=7)
    scaled = step_onto(norm, points.float(), (scale * normals).float(), scale * offsets)
    torch.testing.assert_close(scaled, step_onto(norm, points, normals, offsets).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_rows_do_not_depend_on_each_other(norm: Norm) -> None:
    problem = through_the_box(20, 12, seed=8)
    alone = torch.cat([step_onto(norm, *(part[row : row + 1] for part in problem)) for row in range(20)])
    torch.testing.assert_close(alone, problem.step(norm), rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_float32_images_reach_the_hyperplane_to_the_last_digits(norm: Norm) -> None:
    points, normals, offsets = (part.float() for part in through_the_box(32, 3072, seed=9))
    exact = step_onto(norm, points.double(), normals.double(), offsets)
    changes = step_onto(norm, points, normals, offsets)
    assert changes.dtype == torch.float32
    gap = (offsets - dot(normals.double(), points.double() + changes.double())).abs()[:, 0]
    assert (gap / dual_length(normals.double(), norm) < 1e-6).all(), "as a distance"
    torch.testing.assert_close(length(changes, norm).double(), length(exact, norm), rtol=1e-5, atol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_rooms_and_weights_of_all_magnitudes_do_not_stop_newtons_method(norm: Norm) -> None:
    exponents = torch.arange(60).double()
    room, weights = 0.5 * 0.6**exponents, 1.5**exponents
    points, normals = (1 - room)[None], weights[None]
    for share in (0.01, 0.5, 0.99, 1 - 1e-6):
        offsets = dot(normals, points) + share * (weights * room).sum()
        gap = Problem(points, normals, offsets).missing(step_onto(norm, points, normals, offsets))
        assert gap.abs() < 1e-9 * offsets.abs(), NEWTON_STEPS
