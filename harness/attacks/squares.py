"""What Square proposes: the random changes of its three norms, one window per sample and query.

L-infinity and L2: Andriushchenko et al. (2020), algorithms 2 and 3. L1: Croce & Hein (2021), "Mind the box".
Two deviations from the authors' code: places, signs and colours are drawn for every sample, not once for a batch, and
windows may lie anywhere, as in the paper, while the code leaves out the last row and column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.attacks.windows import Windows, sides_of
from harness.core.balls import TINY, L2Ball
from harness.core.l1 import L1Ball
from harness.core.randomness import Draws
from harness.core.threat import Norm, ThreatModel

TILES = 5
"""Along the shorter edge of an image, at the start in L2 and L1."""


class Squares(Protocol):
    """The changes of one norm. Images are (B, C, H, W), proposals lie in the ball and in [0, 1]."""

    def start(self, images: Tensor, draws: Draws) -> Tensor:
        """The first points."""

    def propose(self, images: Tensor, points: Tensor, levels: Tensor, draws: Draws) -> Tensor:
        """The points with one more change each; `levels` (B,) says how small."""


def signs(chances: Tensor) -> Tensor:
    """-1 or 1, evenly, from numbers in [0, 1)."""
    return 1 - 2 * (chances < 0.5).float()


@dataclass(frozen=True)
class LinfSquares:
    """Squares of one colour, each of whose channels is at one end of what the budget allows."""

    epsilon: float
    share: float

    def start(self, images: Tensor, draws: Draws) -> Tensor:
        """Vertical stripes."""
        stripes = signs(draws.uniform("stripes", images.shape[1], 1, images.shape[3]))
        return (images + self.epsilon * stripes).clamp_(0, 1)

    def propose(self, images: Tensor, points: Tensor, levels: Tensor, draws: Draws) -> Tensor:
        """See `Squares`."""
        channels, height, width = images.shape[1:]
        chances = draws.uniform("square", channels + 2)
        sides = torch.tensor(sides_of(self.share, height, width, smallest=1, odd=False), device=levels.device)
        windows = Windows.at(chances[:, :2], sides[levels], height, width)
        proposals = points.contiguous().clone()
        colours = self.epsilon * signs(chances[:, 2:, None])
        windows.write(proposals, (windows.read(images) + colours).clamp_(0, 1))
        return proposals


@cache
def peaks(sides: tuple[int, ...], order: int, device: torch.device) -> Tensor:
    """(2 * len(sides), S, S) the pattern of every side, and its transpose; zero beyond the side."""
    largest = max(sides)
    patterns = [F.pad(peak(side, order), (0, largest - side, 0, largest - side)) for side in sides]
    return torch.stack([either for pattern in patterns for either in (pattern, pattern.T)]).float().to(device)


def peak(side: int, order: int) -> Tensor:
    """(side, side) a peak above a pit of the same length, together of length 1."""
    halves = pyramid(side // 2, side, order), -pyramid(side - side // 2, side, order)
    pattern = torch.cat([half / half.norm(order) for half in halves])
    return pattern.div(pattern.norm(order))


def pyramid(height: int, width: int, order: int) -> Tensor:
    """(height, width) nested rectangles around the centre, the k-th of which adds 1/k^2 in L2 and 1/k^4 in L1."""
    added = 1 / torch.arange(1, max(height, width) // 2 + 2, dtype=torch.float64) ** (4 / order)
    tops = added.flip(0).cumsum(0).flip(0)
    rows, columns = (torch.arange(extent).sub(extent // 2).abs() for extent in (height, width))
    return tops[rows[:, None].maximum(columns)]


@dataclass(frozen=True)
class PeakSquares:
    """Peaks beside pits, which get what another window gives up and what the image has left."""

    epsilon: float
    share: float
    order: ClassVar[int]
    """Of the norm."""

    def length(self, values: Tensor) -> Tensor:
        """(..., 1) norms along the last dimension, in float64: frames of any size give the same sum."""
        lengths: Tensor = torch.linalg.vector_norm(values, self.order, dim=-1, keepdim=True, dtype=torch.float64)
        return lengths

    def allowance(self, budget: Tensor, channels: int) -> Tensor:
        """Length of a channel's new window, from sums of powers."""
        raise NotImplementedError

    def settle(self, images: Tensor, changes: Tensor) -> Tensor:
        """Points of the ball and of [0, 1]."""
        raise NotImplementedError

    def start(self, images: Tensor, draws: Draws) -> Tensor:
        """A peak and a pit on every tile of a grid."""
        channels, height, width = images.shape[1:]
        side = max(min(height, width) // TILES, 1)
        down, across = height // side, width // side
        turned = (draws.uniform("tiles/turned", 1, down, across) < 0.5).long()
        ends = signs(draws.uniform("tiles", channels, down, across))
        tiles = peaks((side,), self.order, images.device)[turned] * ends[..., None, None]
        grid = tiles.transpose(3, 4).reshape(-1, channels, down * side, across * side)
        below, beside = height - down * side, width - across * side
        edges = (beside // 2, beside - beside // 2, below // 2, below - below // 2)
        return self.settle(images, F.pad(grid, edges))

    def propose(self, images: Tensor, points: Tensor, levels: Tensor, draws: Draws) -> Tensor:
        """See `Squares`."""
        channels, height, width = images.shape[1:]
        sides = sides_of(self.share, height, width, smallest=3, odd=True)
        own = torch.tensor(sides, device=levels.device)[levels]
        chances = draws.uniform("square", channels + 5)
        window, other = (Windows.at(part, own, height, width) for part in (chances[:, :2], chances[:, 2:4]))
        changes = (points - images).contiguous()
        left = (self.epsilon**self.order - self.length(changes.flatten(1)) ** self.order).clamp_min(0)
        old = window.read(changes) * window.inside
        freed = self.length(other.read(changes) * other.inside) ** self.order
        other.write(changes, changes.new_zeros(()))
        freed += self.length(window.read(changes) * window.inside) ** self.order
        table = peaks(sides, self.order, images.device)
        kinds = (2 * levels + (chances[:, 4] < 0.5))[:, None, None]
        pattern = table[kinds, window.rows[:, :, None], window.columns[:, None, :]].flatten(1)[:, None]
        new = pattern * window.inside * signs(chances[:, 5:, None]) + old / self.length(old).clamp_min(TINY)
        new *= self.allowance(freed + left[:, None] / channels, channels) / self.length(new).clamp_min(TINY)
        window.write(changes, new.to(changes.dtype))
        return self.settle(images, changes)


class L2Squares(PeakSquares):
    """Changes that keep to the budget by their own scale."""

    order = 2

    def allowance(self, budget: Tensor, channels: int) -> Tensor:
        """See `PeakSquares`."""
        return budget.sqrt()

    def settle(self, images: Tensor, changes: Tensor) -> Tensor:
        """Scaled to the whole budget, then cut at the range."""
        scale = self.epsilon / self.length(changes.flatten(1)).clamp_min(TINY)
        return L2Ball(self.epsilon).project(images, images + changes * scale[..., None, None].to(changes.dtype))


class L1Squares(PeakSquares):
    """Changes that are larger than the budget, which the projection makes sparse."""

    order = 1

    def allowance(self, budget: Tensor, channels: int) -> Tensor:
        """See `PeakSquares`."""
        return budget * channels

    def settle(self, images: Tensor, changes: Tensor) -> Tensor:
        """Projected."""
        return L1Ball(self.epsilon).project(images, images + changes)


SQUARES: dict[Norm, type[LinfSquares] | type[L2Squares] | type[L1Squares]] = {
    "linf": LinfSquares, "l2": L2Squares, "l1": L1Squares,
}  # fmt: skip


def squares_of(threat: ThreatModel, share: float) -> Squares:
    """The changes of a threat model's norm, where the first ones cover a share of the image."""
    return SQUARES[threat.norm](threat.epsilon, share)
