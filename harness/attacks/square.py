"""Square: random search over windows of an image, without gradients (Andriushchenko et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks import ATTACKS, Attack, Crafted, Model, Plain, Samples, Setting, fooled
from harness.attacks.slots import Flight, fly, looks_after, takeoff
from harness.attacks.squares import squares_of
from harness.core.losses import LOSSES, LossName
from harness.core.threat import Norm, ThreatModel

HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Proposals, of 10,000, after which the share of the image in a window is halved (section 4.1 of the paper)."""


@dataclass
class Search(Flight):
    """Samples and the best points found for them, in `adversarial`."""

    loss: Tensor
    """(B,) there; minus infinity before the first query and where logits are not finite."""
    fools: Tensor
    """(B,) whether the model is fooled there."""


@dataclass(frozen=True)
class Square(Plain):
    """Random search: a proposal is kept where it raises the loss or fools the model."""

    queries: int = 5000
    initial_share: float = 0.8
    rescale_schedule: bool = False
    runs: int = 1
    """Runs with different random numbers; only survivors meet the next one."""
    loss: LossName = "margin"
    norms: frozenset[Norm] = frozenset({"linf", "l2", "l1"})
    compares_scores: ClassVar[bool] = True

    @property
    def version(self) -> str:
        """See `Attack`. Up to version 1, scores were compared in the precision of the job."""
        return "2"

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model."""
        return {}

    def cost(self, setting: Setting) -> int:
        """See `Attack`: in every run, a query for the first point and one for each proposal; forward passes all."""
        return self.runs * (1 + self.queries) + looks_after(self.runs)

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Takes the first fooling point when it may stop, else the best one."""
        model, setting = setting.exactly(model)
        return fly(self, model, samples, setting)

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Search:
        """See `Stepper`. The first points are not queried yet."""
        fields = takeoff(samples, rows, runs)
        # Windows are read and written row by row, in every layout, but much faster in this one.
        fields["images"] = fields["images"].contiguous()
        lowest = torch.full(rows.shape, -torch.inf, device=rows.device)
        search = Search(**fields, loss=lowest, fools=torch.zeros_like(fields["zero_gradient"]))
        search.adversarial = squares_of(setting.threat, self.initial_share).start(search.images, search.draws(setting))
        return search

    def step(self, model: Model, flight: Search, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`: one query."""
        levels = halvings(flight.steps - 1, self.queries, self.rescale_schedule)
        squares = squares_of(setting.threat, self.initial_share)
        points = squares.propose(flight.images, flight.adversarial, levels, flight.draws(setting))
        first = flight.steps == 0
        points[first] = flight.adversarial[first]
        with torch.no_grad():
            logits = model(points)
        hits = fooled(logits, flight.classes, setting.threat, setting.slack)
        sign = 1 if setting.threat.goal == "untargeted" else -1
        loss = (sign * LOSSES[self.loss](logits, flight.classes)).float()
        loss = loss.where(logits.isfinite().all(1), -torch.inf)
        kept = torch.where(hits == flight.fools, loss > flight.loss, hits)
        flight.adversarial[kept] = points[kept]
        flight.loss = loss.where(kept, flight.loss)
        flight.fools = hits | flight.fools
        flight.steps += 1
        flight.passes += 1
        known = hits & setting.stop_when_fooled
        return known | (flight.steps > self.queries), known


def halvings(proposals: Tensor, queries: int, rescale: bool) -> Tensor:
    """(B,) how often the share has been halved by proposal 0, 1, ... of a run, rescaled to its number of queries."""
    if rescale:
        proposals = (proposals * 10_000).div(queries, rounding_mode="floor")
    return torch.bucketize(proposals, torch.tensor(HALVED_AFTER, device=proposals.device))


Count = Annotated[int, Field(ge=1)]


@ATTACKS.register("square")
def square(
    queries: Count = 5000,
    initial_share: Annotated[float, Field(gt=0, le=1)] = 0.8,
    rescale_schedule: bool = False,
    restarts: Count = 1,
    loss: LossName = "margin",
) -> Attack:
    """Square: random search over windows of an image, without gradients (Andriushchenko et al. 2020)."""
    return Square(queries, initial_share, rescale_schedule, restarts, loss)
