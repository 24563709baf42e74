"""Projection, steepest direction, random points and distance, one norm at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torch import Tensor

from harness.core.balls import BALLS, Ball, L2Ball, LinfBall, ball_of
from harness.core.l1 import L1Ball
from harness.core.randomness import Draws
from harness.core.threat import ThreatModel

SHAPE = (2, 1, 3, 3)

kinds = st.sampled_from([LinfBall, L2Ball, L1Ball])
balls = st.builds(lambda kind, epsilon: kind(epsilon), kinds, st.floats(0.002, 4.0))


def tensors(low: float, high: float) -> st.SearchStrategy[Tensor]:
    elements = st.floats(low, high, width=32)
    return arrays(np.float32, SHAPE, elements=elements).map(torch.from_numpy)


images = tensors(0, 1)
points = tensors(-8, 8)
gradients = tensors(-1024, 1024)


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def draws(count: int) -> Draws:
    return Draws(0, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def inner(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() * b.double()).flatten(1).sum(1)


def rounding(ball: Ball) -> float:
    """What float32 pixels may exceed the budget by: 1e-6 of it, and half the spacing of numbers just below 1."""
    return 1e-6 * ball.epsilon + 2**-24


@given(balls, images, points)
def test_projection_lies_in_the_ball_and_in_the_range_of_images(ball: Ball, images: Tensor, points: Tensor) -> None:
    projected = ball.project(images, points)
    assert projected.min() >= 0
    assert projected.max() <= 1
    assert ball.distance(images, projected).max() <= ball.epsilon + rounding(ball)


@given(balls, images, points)
def test_projecting_twice_is_projecting_once(ball: Ball, images: Tensor, points: Tensor) -> None:
    once = ball.project(images, points)
    torch.testing.assert_close(ball.project(images, once), once, rtol=0, atol=1e-6)


@given(balls, images, points, st.floats(0, 0.99))
def test_projection_leaves_points_inside_exactly_as_they_are(
    ball: Ball, images: Tensor, points: Tensor, share: float
) -> None:
    towards = ball.project(images, points)
    inside = (images + share * (towards - images)).clamp(0, 1)
    assert torch.equal(ball.project(images, inside), inside)


@given(st.floats(0.002, 4.0), images, points, st.integers(0, 100))
def test_no_feasible_point_is_nearer_than_the_linf_projection(
    epsilon: float, images: Tensor, points: Tensor, seed: int
) -> None:
    ball = LinfBall(epsilon)
    other = (images + epsilon * (2 * uniform(seed, *SHAPE) - 1)).clamp(0, 1)
    nearest = (points - ball.project(images, points)).flatten(1).norm(dim=1)
    assert (nearest <= (points - other).flatten(1).norm(dim=1) + 1e-5).all()


@given(st.floats(0.002, 0.4), tensors(0.4375, 0.5625), points)
def test_l2_projection_is_the_nearest_point_where_the_range_is_not_reached(
    epsilon: float, images: Tensor, points: Tensor
) -> None:
    ball = L2Ball(epsilon)
    nearest = ball.distance(points, ball.project(images, points))
    expected = (ball.distance(images, points) - epsilon).clamp_min(0)
    torch.testing.assert_close(nearest, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("epsilon", [0.5, 128 / 255, 3.0])
def test_l2_projection_keeps_its_budget_on_images_of_224_pixels(epsilon: float) -> None:
    ball = L2Ball(epsilon)
    images = 0.4 + 0.2 * uniform(0, 2, 3, 224, 224)
    distance = ball.distance(images, ball.project(images, images + uniform(1, 2, 3, 224, 224) - 0.5))
    assert distance.max() <= epsilon + rounding(ball)
    assert distance.min() >= epsilon - rounding(ball)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 224, 224)])
def test_l2_projection_keeps_its_budget_where_every_pixel_is_rounded_the_same_way(shape: tuple[int, ...]) -> None:
    # A sum of 150528 equal squares in float32 is off by 6e-5, and so is the length of 150528 equal roundings.
    grey = torch.full((1, *shape), 0.5)
    for tenths in range(1, 40):
        ball = L2Ball(tenths / 10)
        distance = ball.distance(grey, ball.project(grey, torch.ones_like(grey)))
        assert ball.epsilon * (1 - 1e-3) <= distance <= ball.epsilon + rounding(ball)


@given(st.floats(0.002, 4.0), images, points)
def test_l1_projection_takes_the_same_off_every_change_and_cuts_it_at_the_range(
    epsilon: float, images: Tensor, points: Tensor
) -> None:
    change = (points - images).double().flatten(1)
    room = torch.where(change > 0, 1 - images.flatten(1).double(), images.flatten(1).double())
    low, high = torch.zeros(len(images), 1, dtype=torch.float64), change.abs().amax(1, keepdim=True)
    for _ in range(100):
        middle = (low + high) / 2
        inside = (change.abs() - middle).clamp_min(0).minimum(room).sum(1, keepdim=True) <= epsilon
        low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
    expected = images.flatten(1) + change.sign() * (change.abs() - high).clamp_min(0).minimum(room)
    projected = L1Ball(epsilon).project(images, points).flatten(1).double()
    torch.testing.assert_close(projected, expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("spread", [0.01, 0.3, 4.0])
@pytest.mark.parametrize("epsilon", [2.0, 12.0])
def test_l1_projection_spends_its_budget_on_images_of_224_pixels(epsilon: float, spread: float) -> None:
    images = uniform(0, 2, 3, 224, 224)
    ball = L1Ball(epsilon)
    points = images + spread * (uniform(1, *images.shape) - 0.5)
    for case in (points, points.contiguous(memory_format=torch.channels_last)):
        distance = ball.distance(images, ball.project(images, case))
        assert distance.max() <= epsilon + rounding(ball)
        assert distance.min() >= epsilon * (1 - 1e-3)


@given(gradients)
def test_steepest_reaches_the_dual_norm_with_length_one(gradients: Tensor) -> None:
    flat = gradients.double().flatten(1)
    duals = {"linf": flat.abs().sum(1), "l2": (flat**2).sum(1).sqrt(), "l1": flat.abs().amax(1)}
    zero = torch.zeros_like(gradients)
    for norm, kind in BALLS.items():
        direction = kind(1.0).steepest(gradients)
        torch.testing.assert_close(inner(direction, gradients), duals[norm], rtol=1e-6, atol=1e-30)
        moved = flat.abs().amax(1) > 0
        assert torch.allclose(kind(1.0).distance(zero, direction), moved.double(), atol=1e-6)


@pytest.mark.parametrize("kind", BALLS.values())
@given(gradients, st.integers(0, 100))
def test_no_direction_of_length_one_rises_faster_than_the_steepest(
    kind: type[LinfBall] | type[L2Ball], gradients: Tensor, seed: int
) -> None:
    ball = kind(1.0)
    other = ball.steepest(uniform(seed, *SHAPE) - 0.5)
    best = inner(ball.steepest(gradients), gradients)
    assert (inner(other, gradients) <= best + 1e-6 * best.abs()).all()


@pytest.mark.parametrize("kind", BALLS.values())
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e20, 1e30])
def test_steepest_does_not_depend_on_the_length_of_the_gradient(
    kind: type[LinfBall] | type[L2Ball], scale: float
) -> None:
    gradients = uniform(3, *SHAPE) - 0.5
    torch.testing.assert_close(kind(1.0).steepest(scale * gradients), kind(1.0).steepest(gradients))


@pytest.mark.parametrize("kind", BALLS.values())
def test_a_zero_gradient_has_no_direction_and_does_not_touch_its_neighbours(
    kind: type[LinfBall] | type[L2Ball],
) -> None:
    gradients = uniform(0, *SHAPE) - 0.5
    alone = kind(1.0).steepest(gradients[:1])
    gradients[1] = 0
    direction = kind(1.0).steepest(gradients)
    assert torch.equal(direction[1], torch.zeros(SHAPE[1:]))
    torch.testing.assert_close(direction[:1], alone)


@given(balls, images)
def test_random_points_lie_in_the_ball_and_in_the_range_of_images(ball: Ball, images: Tensor) -> None:
    random = ball.random_points(images, draws(len(images)))
    assert random.min() >= 0
    assert random.max() <= 1
    assert ball.distance(images, random).max() <= ball.epsilon + rounding(ball)


def uniformity(numbers: Any) -> float:
    return float(stats.kstest(numbers, "uniform").pvalue)


def test_random_points_of_the_linf_ball_are_uniform_in_the_cube() -> None:
    grey = torch.full((500, 1, 4, 4), 0.5)
    shares = (LinfBall(0.25).random_points(grey, draws(500)) - grey) / 0.25
    assert uniformity((shares.flatten().numpy() + 1) / 2) > 0.01


def test_random_points_of_the_l2_ball_have_uniform_lengths_and_no_preferred_side() -> None:
    grey = torch.full((4000, 1, 2, 2), 0.5)
    ball = L2Ball(0.25)
    perturbation = ball.random_points(grey, draws(4000)) - grey
    lengths = perturbation.flatten(1).norm(dim=1)
    assert uniformity((lengths / 0.25).numpy()) > 0.01
    unit: npt.NDArray[np.float32] = (perturbation.flatten(1) / lengths[:, None]).numpy()
    # A coordinate of a uniform point of the sphere in 4 dimensions: its square is Beta(1/2, 3/2).
    for coordinate in unit.T:
        assert stats.kstest(coordinate**2, stats.beta(0.5, 1.5).cdf).pvalue > 0.01
        assert stats.binomtest(int((coordinate > 0).sum()), len(unit)).pvalue > 0.01


@given(images, points)
def test_distances_are_those_of_numpy_in_double_precision(images: Tensor, points: Tensor) -> None:
    difference = points.numpy().astype(np.float64) - images.numpy().astype(np.float64)
    for order, kind in ((np.inf, LinfBall), (2, L2Ball)):
        expected = [np.linalg.norm(row.ravel(), order) for row in difference]
        np.testing.assert_allclose(kind(1.0).distance(images, points).numpy(), expected, rtol=1e-12)


def test_a_threat_model_names_its_ball() -> None:
    assert ball_of(ThreatModel("linf", 8 / 255)) == LinfBall(8 / 255)
    assert ball_of(ThreatModel("l2", 0.5)) == L2Ball(0.5)
