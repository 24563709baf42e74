"""The geometry of a norm lives in one class; no other file branches on the norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.core.l1 import L1Ball
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

    def per_pixel(self, images: Tensor) -> float:
        """How far a step of length 1 moves a pixel where it moves all of them alike."""

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

    def per_pixel(self, images: Tensor) -> float:
        """See `Ball`."""
        return 1.0

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

    def per_pixel(self, images: Tensor) -> float:
        """See `Ball`."""
        return float(images.shape[1:].numel() ** -0.5)

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


BALLS: dict[str, type[LinfBall] | type[L2Ball] | type[L1Ball]] = {"linf": LinfBall, "l2": L2Ball, "l1": L1Ball}


def ball_of(threat: ThreatModel) -> Ball:
    """The ball of a threat model."""
    return BALLS[threat.norm](threat.epsilon)
