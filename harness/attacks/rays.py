"""RayS: the shortest ray to a wrong answer, found from decisions alone (Chen & Gu 2020).

It needs neither gradients nor scores, so that a model that hides both cannot hide from it. A ray leads from the clean
image along signs, one per pixel; its radius is where the model begins to be fooled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks import ATTACKS, Attack, Crafted, Model, Plain, Samples, Setting, fooled
from harness.attacks.distances import smallest_distances
from harness.attacks.slots import Flight, fly, takeoff
from harness.core.errors import HarnessError
from harness.core.threat import Norm, ThreatModel

LARGEST = 1.0
"""Radius at which every ray has left [0, 1], where the first ones are asked about."""

WHOLE = -1
"""In place of the number of a block: none is turned over."""

COARSEST = 0.25
"""Of epsilon, the tolerance with which a radius is searched for, where that is finer than the attack's own."""


@dataclass
class Rays(Flight):
    """Samples and the shortest rays found for them."""

    signs: Tensor
    """(B, C, H, W) direction of the ray, -1 or 1."""
    radius: Tensor
    """(B,) where the model is fooled on it, float64; infinite before it is."""
    low: Tensor
    """(B,) where it is known not to be, float64; the radius is searched for above, until they are close."""
    level: Tensor
    """(B,) how often the image has been halved into blocks."""
    block: Tensor
    """(B,) number of the block that is turned over next, or WHOLE."""


def ray(images: Tensor, signs: Tensor, radius: Tensor) -> Tensor:
    """The points at (B,) radii from the images along the signs, in [0, 1]. (B, C, H, W)."""
    return (images + radius.to(images.dtype).view(-1, 1, 1, 1) * signs).clamp(0, 1)


def turned(signs: Tensor, block: Tensor, blocks: Tensor) -> Tensor:
    """The signs with those of one block of pixels turned over.

    Args:
        signs: (B, C, H, W).
        block: (B,) its number, or WHOLE.
        blocks: (B,) number of blocks of equal size, up to one pixel, that the pixels in a row are cut into.
    """
    pixels = signs[0].numel()
    first, end = ((edge * pixels).div(blocks, rounding_mode="floor")[:, None] for edge in (block, block + 1))
    place = torch.arange(pixels, device=signs.device)
    return torch.where(((place >= first) & (place < end)).view_as(signs), -signs, signs)


@dataclass(frozen=True)
class RayS(Plain):
    """Turns over the signs of ever smaller blocks; a ray that fools at the smallest radius so far is followed back.

    Unlike in the authors' code, such a ray is also kept where no smaller radius is found on it.
    """

    queries: int = 10_000
    tolerance: float = 1e-4
    """How close the search for a radius comes to it; closer where epsilon is small.

    The authors' code measures lengths in L2: its 1e-3 is a radius of 1e-3 / sqrt(C * H * W).
    """
    norms: frozenset[Norm] = frozenset({"linf"})
    compares_scores: ClassVar[bool] = True
    runs: int = 1
    """See `Stepper`."""

    def cost(self, setting: Setting) -> int:
        """See `Attack`: one for the clean image, then the queries; forward passes all."""
        return 1 + self.queries

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model. Raises HarnessError for any goal but the untargeted one."""
        if threat.goal != "untargeted":
            raise HarnessError('RayS is made for the goal "untargeted"; use square for others')
        return {}

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Proposes the end of the shortest ray, or where it leaves the ball."""
        model, setting = setting.exactly(model)
        return fly(self, model, samples, setting)

    def distances(self, model: Model, samples: Samples, setting: Setting) -> Tensor:
        """(M,) lengths of the shortest rays found, beyond epsilon too; infinite where none fools the model.

        Zero where the clean image does. Epsilon does not matter.
        """
        return smallest_distances(self, model, samples, replace(setting, threat=replace(setting.threat, epsilon=inf)))

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Rays:
        """See `Stepper`. Nothing is queried yet."""
        fields = takeoff(samples, rows, runs)
        # Blocks are cut from pixels in a row.
        images = fields["images"] = fields["images"].contiguous()
        # Brighter everywhere, as in the paper, but for images that cannot be.
        white = (images == 1).flatten(1).all(1).view(-1, 1, 1, 1)
        nowhere = torch.full(rows.shape, inf, dtype=torch.float64, device=rows.device)
        return Rays(
            **fields, signs=torch.where(white, -torch.ones_like(images), 1), radius=nowhere, low=nowhere.clone(),
            level=torch.zeros_like(rows), block=torch.full_like(rows, WHOLE),
        )  # fmt: skip

    def step(self, model: Model, flight: Rays, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`: one query: the clean image, another ray at the smallest radius, or nearer on this ray."""
        tolerance = min(self.tolerance, COARSEST * setting.threat.epsilon)
        searching = flight.low < flight.radius - tolerance
        blocks = (2**flight.level).clamp_max(flight.images[0].numel())
        signs = turned(flight.signs, torch.where(searching, WHOLE, flight.block), blocks)
        radius = torch.where(searching, (flight.low + flight.radius) / 2, flight.radius.clamp_max(LARGEST))
        radius[flight.steps == 0] = 0
        points = ray(flight.images, signs, radius)
        with torch.no_grad():
            hits = fooled(model(points), flight.classes, setting.threat, setting.slack)
        if not setting.stop_when_fooled:
            # A clean image that is wrong anyway is left as it is only where the attack may stop at once.
            hits &= (points != flight.images).flatten(1).any(1)
        flight.signs = torch.where(hits.view(-1, 1, 1, 1), signs, flight.signs)
        flight.radius = torch.where(hits, radius, flight.radius)
        flight.low[searching & ~hits] = radius[searching & ~hits]
        flight.low[~searching & hits] = 0
        _next_block(flight, ~searching & (flight.steps > 0), blocks)
        flight.steps += 1
        flight.passes += 1
        known = (flight.radius <= setting.threat.epsilon) & setting.stop_when_fooled
        done = known | (flight.radius <= tolerance) | (flight.steps > self.queries)
        if done.any():
            flight.adversarial = ray(flight.images, flight.signs, flight.radius.clamp_max(setting.threat.epsilon))
        return done, known


def _next_block(flight: Rays, checked: Tensor, blocks: Tensor) -> None:
    """Where a ray has been asked about, go on to the next block, after the last one to the next level, in place.

    After the level of single pixels comes the same again.
    """
    flight.block += checked
    over = flight.block == blocks
    flight.level += over & (blocks < flight.images[0].numel())
    flight.block[over] = 0


@ATTACKS.register("rays")
def rays(queries: Annotated[int, Field(ge=1)] = 10_000) -> Attack:
    """RayS: the shortest ray to a wrong answer from decisions alone, without gradients or scores (Chen & Gu 2020)."""
    return RayS(queries)
