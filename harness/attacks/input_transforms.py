"""What transfer attacks do to what the model sees while gradients are taken: DI and SI.

Parts hold configuration only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from harness.attacks import Samples
from harness.core.errors import HarnessError
from harness.core.randomness import Draws


class View(NamedTuple):
    """Images that the model is asked about, derived from some of the samples."""

    rows: Tensor | None
    """(B,) the samples they come from; None for all, in order."""
    images: Tensor
    """(B, C, H', W')."""
    name: str = ""
    """Tells the views of one step apart, as part of their random numbers' purpose."""


class InputTransform(Protocol):
    """Changes what the model sees. The gradients of all views of a sample are averaged."""

    def __call__(self, view: View, draws: Draws, pool: Samples | None = None) -> list[View]:
        """One view to one or several; differentiable. `draws` has one row per image of the view; see `Setting.pool`."""


Probability = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(gt=0, le=4)]


def resize_matrix(length: int, size: Tensor, offset: Tensor, canvas: int, interpolation: str) -> Tensor:
    """Resizing one axis from `length` to `size` pixels and placing it at `offset` on a canvas, as matrices.

    (N,), (N,) -> (N, canvas, length). Rows outside the resized image are zero. Pixel centres are aligned as in
    `torch.nn.functional.interpolate` with `align_corners=False`, without antialiasing.
    """
    size, offset = size.view(-1, 1), offset.view(-1, 1)
    place = torch.arange(canvas, device=size.device).view(1, -1) - offset
    inside = (place >= 0) & (place < size)
    grid = torch.arange(length, device=size.device).view(1, 1, -1)
    if interpolation == "nearest":
        source = (place * length).div(size, rounding_mode="floor").unsqueeze(2)
        weights = (grid == source).float()
    else:
        source = ((place + 0.5) * (length / size) - 0.5).clamp(0, length - 1).unsqueeze(2)
        weights = (1 - (grid - source).abs()).clamp_min(0)
    return weights * inside.unsqueeze(2)


def place_on_canvas(images: Tensor, rows: Tensor, columns: Tensor, fill: float) -> Tensor:
    """Apply one matrix per image and axis; what lies outside the resized image gets `fill`. (N, C, canvas, canvas)."""
    placed = rows.unsqueeze(1) @ images @ columns.transpose(1, 2).unsqueeze(1)
    if fill == 0:
        return placed
    covered = (rows.sum(2) > 0).unsqueeze(2) & (columns.sum(2) > 0).unsqueeze(1)
    return torch.where(covered.unsqueeze(1), placed, fill)


@dataclass(frozen=True)
class DiverseInput:
    """DI: with some probability each image is resized and padded at random, anew at every step.

    Sizes are shares of the image's own, rounded down to pixels. Every sample draws for itself, where the field's
    implementations draw once per batch.

    Raises:
        HarnessError: for sizes that cannot be drawn, and when called, for sizes that leave such images as they are.
    """

    probability: Probability = 0.5
    """How often an image is transformed."""
    smallest: Factor = 1.0
    """Smallest size drawn."""
    largest: Factor = 1.1
    """Sizes are drawn below this."""
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    """How images are resized."""
    fill: Probability = 0.0
    """Value of the padding."""
    restore: bool = True
    """Resize the padded canvas back to the image's own size; else the model sees the canvas as it is."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be drawn."""
        if self.smallest > self.largest:
            raise HarnessError(f"smallest: {self.smallest:g} is more than largest, {self.largest:g}")

    def __call__(self, view: View, draws: Draws, pool: Samples | None = None) -> list[View]:
        """See `InputTransform`."""
        images, own_size = view.images, view.images.shape[-2:]
        self._check_effect(max(own_size))
        chance, spread, top, left = draws.uniform(f"diverse-input{view.name}", 4).unbind(1)
        rows, columns = (self._place(side, spread, draw) for side, draw in zip(own_size, (top, left), strict=True))
        chosen = chance < self.probability
        canvas = (rows.shape[1], columns.shape[1])
        if self.restore or canvas == own_size:
            changed = place_on_canvas(images, rows, columns, self.fill)
            if canvas != own_size:
                changed = F.interpolate(changed, size=own_size, mode="bilinear", align_corners=False)
            return [View(view.rows, torch.where(chosen.view(-1, 1, 1, 1), changed, images), view.name)]
        views = []
        for part, transformed in ((chosen.nonzero()[:, 0], True), ((~chosen).nonzero()[:, 0], False)):
            if len(part):
                shown = (
                    place_on_canvas(images[part], rows[part], columns[part], self.fill) if transformed else images[part]
                )
                views.append(View(part if view.rows is None else view.rows[part], shown, view.name))
        return views

    def sizes(self, length: int) -> range:
        """The sizes in pixels that a side of `length` is resized to."""
        low, high = (int(length * share + 1e-6) for share in (self.smallest, self.largest))
        return range(max(low, 1), max(high, low + 1, 2))

    def _place(self, length: int, spread: Tensor, offset: Tensor) -> Tensor:
        """Matrices that resize one axis and place it on the canvas, from two uniform numbers per image."""
        sizes = self.sizes(length)
        canvas = max(length, int(length * self.largest + 1e-6))
        size = sizes.start + (spread * len(sizes)).floor().long()
        # Offsets stay below the free space, as in the authors' code.
        free = (canvas - size).clamp_min(1)
        return resize_matrix(length, size, (offset * free).floor().long(), canvas, self.interpolation)

    def _check_effect(self, length: int) -> None:
        """Refuse to do nothing: on small images, shares close to 1 round to the image's own size."""
        if self.smallest >= 1 and int(length * self.largest + 1e-6) == length:
            raise HarnessError(
                f"diverse inputs leave images of {length} pixels as they are: sizes from {self.smallest:g} to "
                f"{self.largest:g} of {length} all round down to {length}.\n"
                f"     raise largest to {(length + 2) / length:.3g} or more, or lower smallest below 1"
            )


@dataclass(frozen=True)
class ScaleCopies:
    """SI: the gradient is averaged over copies of the image divided by 1, 2, 4, ..."""

    copies: Annotated[int, Field(ge=1)] = 5
    """Number of copies."""

    def __call__(self, view: View, draws: Draws, pool: Samples | None = None) -> list[View]:
        """See `InputTransform`."""
        return [View(view.rows, view.images / 2**i, f"{view.name}/{i}") for i in range(self.copies)]
