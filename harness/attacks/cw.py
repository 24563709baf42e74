"""CW: the smallest perturbation by optimisation, and binary search for its weight (Carlini & Wagner 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks import ATTACKS, PRESETS, Attack, Crafted, Model, Plain, Samples, Setting, fooled
from harness.attacks.cw_search import LARGEST, Search, adam, to_hidden, to_pixels
from harness.attacks.slope import input_gradient
from harness.attacks.slots import fly, takeoff
from harness.core.balls import ball_of
from harness.core.losses import margin
from harness.core.threat import Norm, ThreatModel

PROGRESS = 0.9999
"""A tenth of a trial's steps must lower the objective below this share."""


@dataclass(frozen=True)
class CarliniWagner(Plain):
    """Adam on the squared distance plus a constant times the margin, the constant by binary search.

    Everything is per sample, the early end of a trial included. As in the authors' code a trial starts at the clean
    image, and only points that were shown to the model count.
    """

    confidence: float = 0.0
    """By how much the wrong class, or the wanted one, must lead at points that are found."""
    steps: int = 1000
    """Steps of a trial."""
    learning_rate: float = 0.01
    """Of Adam, in the hidden variables."""
    binary_search_steps: int = 9
    """Number of trials."""
    initial_constant: float = 1e-3
    """Constant of the first trial."""
    abort_early: bool = True
    """End a trial when a tenth of its steps made no progress."""
    norms: frozenset[Norm] = frozenset({"l2"})
    runs: int = 1
    """See `Stepper`."""

    @property
    def whole_batches(self) -> bool:
        """See `harness.attacks.whole_batches`: unless samples end their trials at different times."""
        return not self.abort_early

    def cost(self, setting: Setting) -> int:
        """See `Attack`: trials times steps."""
        return self.binary_search_steps * self.steps

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model."""
        return {}

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`.

        Takes the first point that fools the model inside the ball when it may stop; else the nearest one that fools it
        with confidence, or the last one where there is none, brought into the ball.
        """
        return fly(self, model, samples, setting)

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> Search:
        """See `Stepper`."""
        fields = takeoff(samples, rows, runs)
        images = fields["images"]
        hidden = to_hidden(images)
        fields["adversarial"] = to_pixels(hidden)
        nothing = torch.full(rows.shape, torch.inf, device=images.device)
        return Search(
            **fields, origin=to_pixels(hidden), hidden=hidden, first=torch.zeros_like(images),
            second=torch.zeros_like(images), trials=torch.zeros_like(rows),
            constant=torch.full_like(nothing, self.initial_constant), lower=torch.zeros_like(nothing), upper=nothing,
            found=torch.zeros_like(fields["zero_gradient"]), checked=nothing.clone(), nearest=images.clone(),
            shortest=nothing.double(),
        )  # fmt: skip

    def step(self, model: Model, flight: Search, setting: Setting) -> tuple[Tensor, Tensor]:
        """See `Stepper`."""
        points = flight.adversarial
        sign = 1 if setting.threat.goal == "untargeted" else -1
        rise, logits, _ = input_gradient(model, points, flight.classes, margin)
        flight.passes += 1
        flight.zero_gradient |= rise.flatten(1).abs().amax(1) == 0
        already = self._learn(flight, logits, setting)
        missing = self._aim(setting) - sign * margin(logits, flight.classes)
        flight.end_trial(self._descend(flight, sign * rise, missing))
        over = flight.trials >= self.binary_search_steps
        flight.adversarial = torch.where(already.view(-1, 1, 1, 1), points, to_pixels(flight.hidden))
        rows = (over & ~already).nonzero()[:, 0]
        if len(rows):
            any_found = flight.shortest[rows].isfinite().view(-1, 1, 1, 1)
            best = torch.where(any_found, flight.nearest[rows], points[rows])
            flight.adversarial[rows] = ball_of(setting.threat).project(flight.images[rows], best)
        return already | over, already

    def _aim(self, setting: Setting) -> float:
        return max(self.confidence, setting.slack)

    def _learn(self, flight: Search, logits: Tensor, setting: Setting) -> Tensor:
        """Keep the nearest points that fool the model; (B,) which ones end the matter."""
        threat, ball = setting.threat, ball_of(setting.threat)
        distance = ball.distance(flight.images, flight.adversarial)
        success = fooled(logits, flight.classes, threat, self._aim(setting))
        nearer = success & (distance < flight.shortest)
        flight.found |= success
        flight.shortest = torch.where(nearer, distance, flight.shortest)
        flight.nearest = torch.where(nearer.view(-1, 1, 1, 1), flight.adversarial, flight.nearest)
        inside = fooled(logits, flight.classes, threat, setting.slack) & (distance <= ball.epsilon)
        return inside & setting.stop_when_fooled

    def _descend(self, flight: Search, rise: Tensor, missing: Tensor) -> Tensor:
        """One step of Adam, from the slope of the lead and how much of it is missing: (B,) whose trial is over."""
        points, change = flight.adversarial, flight.adversarial - flight.origin
        objective = (change**2).flatten(1).sum(1) + flight.constant * missing.clamp_min(0)
        weight = (flight.constant * (missing > 0)).view(-1, 1, 1, 1)
        gradient = (2 * change - weight * rise) * 2 * points * (1 - points)
        descent, flight.first, flight.second = adam(gradient, flight.first, flight.second, flight.steps + 1)
        flight.hidden = flight.hidden - self.learning_rate * descent
        looked = flight.steps % max(self.steps // 10, 1) == 0
        stuck = looked & ~(objective <= PROGRESS * flight.checked) & self.abort_early
        flight.checked = torch.where(looked, objective, flight.checked)
        flight.steps = flight.steps + 1
        return stuck | (flight.steps >= self.steps)


@ATTACKS.register("cw")
def cw(
    confidence: Annotated[float, Field(ge=0)] = 0.0,
    steps: Annotated[int, Field(ge=1)] = 1000,
    learning_rate: Annotated[float, Field(gt=0)] = 0.01,
    binary_search_steps: Annotated[int, Field(ge=1)] = 9,
    initial_constant: Annotated[float, Field(gt=0, le=LARGEST)] = 1e-3,
    abort_early: bool = True,
) -> Attack:
    """CW: the smallest L2 perturbation by Adam and binary search (Carlini & Wagner 2017)."""
    return CarliniWagner(confidence, steps, learning_rate, binary_search_steps, initial_constant, abort_early)


# Their code on CIFAR: epsilon 0.02, of which the rate is a tenth; the constant is the paper's.
PRESETS["cw"] = {"awais2020": {"steps": 10, "learning_rate": 0.002, "binary_search_steps": 3, "initial_constant": 0.01}}
