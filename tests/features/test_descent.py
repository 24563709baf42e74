"""Descent on networks whose solution is known by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.core.balls import L2Ball
from harness.data.feature_card import Descent
from harness.features.descent import Objective, descend, slope, towards_activations, towards_classes


def linear(weights: Tensor) -> nn.Sequential:
    """Images of P pixels to D activations, `weights` (D, P), and from there to two logits."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(weights.shape[1], len(weights), bias=False), nn.Linear(len(weights), 2)
    )
    network[1].weight.data = weights
    return network.requires_grad_(False)


def image(*pixels: float) -> Tensor:
    return torch.tensor(pixels).view(1, 1, 1, -1)


def test_every_step_brings_the_activation_nearer_by_the_step_times_the_length_of_its_weights() -> None:
    # One activation a = w x: the gradient always points along w = (3, 4), which has length 5.
    network = linear(torch.tensor([[3.0, 4.0]]))
    start, other = image(0.2, 0.2), image(0.8, 0.9)
    objective = towards_activations(network, other)
    distance = objective(start).item()
    assert distance == pytest.approx(3 * 0.6 + 4 * 0.7, rel=1e-5)
    for steps in (1, 3, 7):
        points = descend(objective, start, Descent(steps=steps, step_size=0.05))
        torch.testing.assert_close(points, start + steps * 0.05 * image(0.6, 0.8))
        assert objective(points).item() == pytest.approx(distance - steps * 0.05 * 5, rel=1e-5)


def test_steps_that_come_out_even_match_the_activation() -> None:
    network = linear(torch.tensor([[3.0, 4.0]]))
    start = image(0.2, 0.2)
    other = start + 8 * 0.05 * image(0.6, 0.8) + 0.1 * image(0.8, -0.6)
    points = descend(towards_activations(network, other), start, Descent(steps=8, step_size=0.05))
    # What does not show in the activation stays as it was: the nearest image with these activations is found.
    torch.testing.assert_close(points, start + 8 * 0.05 * image(0.6, 0.8))
    assert towards_activations(network, other)(points).item() < 1e-5


def test_without_a_ball_only_the_range_of_pixels_bounds_images() -> None:
    network = linear(torch.tensor([[1.0, 0.0]]))
    objective: Objective = lambda points: -network[:2](points)[:, 0]  # noqa: E731
    points = descend(objective, image(0.5, 0.5), Descent(steps=20, step_size=0.1))
    assert points.flatten().tolist() == [1.0, 0.5]


def test_a_wanted_class_is_approached_within_the_ball_and_the_range_of_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((20, 3, 8, 8), generator=generator).round(decimals=1)
    network = linear(torch.randn((6, 192), generator=generator))
    network[2] = nn.Linear(6, 4).requires_grad_(False)
    wanted = torch.arange(20) % 4
    objective = towards_classes(network, wanted)
    points = descend(objective, images, Descent(epsilon=0.5, steps=40, step_size=0.1))
    assert points.min() >= 0
    assert points.max() <= 1
    distances = L2Ball(0.5).distance(images, points)
    assert distances.max() <= 0.5 * (1 + 1e-6)
    # A linear network is pushed to the surface of the ball.
    assert distances.min() > 0.49
    assert (objective(points) < objective(images)).all()


def test_the_objective_of_a_class_is_its_cross_entropy() -> None:
    network, images = linear(torch.eye(2)), torch.rand(3, 1, 1, 2)
    classes = torch.tensor([0, 1, 0])
    expected = -network(images).log_softmax(1)[torch.arange(3), classes]
    torch.testing.assert_close(towards_classes(network, classes)(images), expected)


def test_images_that_match_already_stay() -> None:
    images = torch.rand(2, 1, 1, 2)
    objective = towards_activations(linear(torch.eye(2)), images)
    assert torch.equal(slope(objective, images), torch.zeros_like(images))
    assert torch.equal(descend(objective, images, Descent(steps=3, step_size=0.1)), images)


def test_every_step_is_told() -> None:
    told: list[int] = []
    objective = towards_classes(linear(torch.eye(2)), torch.tensor([0, 1]))
    descend(objective, torch.rand(2, 1, 1, 2), Descent(epsilon=0.1, steps=3, step_size=0.1), told.append)
    assert told == [2, 2, 2]
