"""Admix: gradients at mixtures with images of other classes (Wang et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks import Samples, as_float
from harness.attacks.input_transforms import Probability, ScaleCopies, View
from harness.core.errors import HarnessError
from harness.core.randomness import Draws


def classes_in(pool: Samples, indices: Tensor) -> Tensor:
    """(N,) classes of the images at some positions of the data set; -1 for those that the pool lacks."""
    known, order = pool.indices.sort()
    place = torch.searchsorted(known, indices).clamp_max(len(known) - 1)
    return torch.where(known[place] == indices, pool.classes[order[place]], -1)


def draw_partners(pool: Samples, own: Tensor, chance: Tensor) -> Tensor:
    """Rows of the pool, uniformly among the images of other classes; among all where there is but one class.

    (N,) own classes, (N, M) uniform numbers in [0, 1) -> (N, M).
    """
    classes, order = pool.classes.sort(stable=True)
    begin, end = torch.searchsorted(classes, own), torch.searchsorted(classes, own, right=True)
    alone = end - begin == len(classes)
    begin, end = begin.masked_fill(alone, 0)[:, None], end.masked_fill(alone, 0)[:, None]
    place = (chance * (len(classes) - (end - begin))).floor().long()
    return order[torch.where(place < begin, place, place + end - begin)]


@dataclass(frozen=True)
class Admix:
    """admix: the gradient is averaged over scaled copies of mixtures of the image with images of other classes.

    Every sample draws its partners from all images of the data set, where the authors' code mixes the samples of a
    batch with each other, as far as they are attacked and whatever their classes.

    Raises:
        HarnessError: when called without other images.
    """

    portion: Probability = 0.2
    """Weight of the image mixed in; that of the sample stays 1."""
    mixtures: Annotated[int, Field(ge=1)] = 3
    """Number of images mixed in, one at a time."""
    scales: Annotated[int, Field(ge=1)] = 5
    """Number of copies of each mixture, divided by 1, 2, 4, ..."""

    @property
    def copies(self) -> int:
        """Views of a sample."""
        return self.mixtures * self.scales

    def __call__(self, view: View, draws: Draws, pool: Samples | None = None) -> list[View]:
        """See `InputTransform`."""
        if pool is None:
            raise HarnessError("admix mixes in other images: give Setting a pool of them")
        partners = draw_partners(
            pool, classes_in(pool, draws.indices), draws.uniform(f"admix{view.name}", self.mixtures)
        )
        views = []
        for number, rows in enumerate(partners.unbind(1)):
            mixture = view.images + self.portion * as_float(pool.images[rows])
            views += ScaleCopies(self.scales)(View(view.rows, mixture, f"{view.name}/{number}"), draws)
        return views
