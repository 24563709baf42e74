"""The full batch: samples in flight in a fixed number of slots.

A sample that is done leaves its slot and the next one takes it, with its own step counter, so that batches stay full
and no pass is spent on a sample that is decided. An attack brings its state, a `Flight` with more fields, and its
step; everything else is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from harness.attacks import Crafted, Model, Samples, Setting, fooled
from harness.core.losses import margin
from harness.core.randomness import Draws


@dataclass
class Flight:
    """Samples in flight, one row each. Every field is a tensor, or a tuple of tensors, of B rows."""

    rows: Tensor
    """(B,) which samples."""
    indices: Tensor
    """(B,) their positions in the data set."""
    classes: Tensor
    """(B,) true or wanted classes."""
    images: Tensor
    """(B, C, H, W) clean images."""
    adversarial: Tensor
    """(B, C, H, W) current points; of a sample that is done, what is proposed."""
    runs: Tensor
    """(B,) number of the run: of the restart, or of the class aimed at."""
    steps: Tensor
    """(B,) steps made in this run."""
    passes: Tensor
    """(B,) passes spent in all runs."""
    zero_gradient: Tensor
    """(B,) whether a gradient was exactly zero."""

    def select(self, rows: Tensor) -> Self:
        """Some of the rows."""
        return type(self)(*(_each(getattr(self, field.name), lambda part: part[rows]) for field in fields(self)))

    def put(self, rows: Tensor, other: Self) -> None:
        """Overwrite rows in place."""
        for field in fields(self):
            mine, new = getattr(self, field.name), getattr(other, field.name)
            for target, source in zip(_parts(mine), _parts(new), strict=True):
                target[rows] = source

    def draws(self, setting: Setting) -> Draws:
        """The random numbers of every sample's current step."""
        return Draws(setting.seed, self.indices, self.steps, setting.run + self.runs)


def _parts(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def _each(value: Any, change: Any) -> Any:
    return tuple(change(part) for part in value) if isinstance(value, tuple) else change(value)


def takeoff(samples: Samples, rows: Tensor, runs: Tensor) -> dict[str, Tensor]:
    """The fields of a `Flight` for samples before their first step, at their clean images."""
    # Laid out as convolutions return gradients: mixing layouts slows down every step.
    images = samples.pixels(rows).contiguous(memory_format=torch.channels_last)
    zeros = torch.zeros_like(rows)
    return {
        "rows": rows, "indices": samples.indices[rows], "classes": samples.classes[rows], "images": images,
        "adversarial": images.clone(), "runs": runs, "steps": zeros, "passes": zeros.clone(),
        "zero_gradient": torch.zeros_like(rows, dtype=torch.bool),
    }  # fmt: skip


def looks_after(runs: int) -> int:
    """Passes that `fly` adds to a stepper's own: where there are several runs, one at the end of each."""
    return runs if runs > 1 else 0


F = TypeVar("F", bound=Flight)


class Stepper(Protocol[F]):
    """What an attack does with the samples in flight."""

    @property
    def runs(self) -> int:
        """How often a sample that was not fooled is attacked anew."""

    def enter(self, model: Model, samples: Samples, rows: Tensor, runs: Tensor, setting: Setting) -> F:
        """Some samples before the first step of a run."""

    def step(self, model: Model, flight: F, setting: Setting) -> tuple[Tensor, Tensor]:
        """One step of every sample in flight, in place: (B,) which are done, and (B,) which are known to be fooled.

        A sample that is known to be fooled is done; what it proposes then stands in `adversarial`.
        """


def fly(attack: Stepper[F], model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
    """Attack all samples, yielding them as they finish.

    A sample that is done and not fooled starts its next run in the same slot. After its last run, it proposes the
    point of all its runs at which the model was most wrong.
    """
    everyone = torch.arange(len(samples), device=samples.classes.device)
    entering, waiting = everyone[: setting.batch_size], everyone[setting.batch_size :]
    flight = attack.enter(model, samples, entering, torch.zeros_like(entering), setting)
    best = Best.of_nothing(flight) if attack.runs > 1 else None
    while len(flight.rows):
        done, known = attack.step(model, flight, setting)
        if not done.any():
            continue
        if best:
            known |= best.learn(model, flight, done & ~known, setting)
            again = done & ~known & (flight.runs + 1 < attack.runs)
            done = done & ~again
            best.recall(flight, done & ~known)
            _start_again(attack, model, samples, flight, again.nonzero()[:, 0], setting)
        out = done.nonzero()[:, 0]
        if not len(out):
            continue
        yield Crafted(flight.rows[out], flight.adversarial[out], flight.passes[out], flight.zero_gradient[out])
        free = out[: len(waiting)]
        entering, waiting = waiting[: len(free)], waiting[len(free) :]
        if len(free):
            flight.put(free, attack.enter(model, samples, entering, torch.zeros_like(entering), setting))
            if best:
                best.score[free] = -torch.inf
        if len(free) < len(out):
            stay = ~done
            stay[free] = True
            flight = flight.select(stay)
            best = best and Best(best.score[stay], best.point[stay])


def _start_again(attack: Stepper[F], model: Model, samples: Samples, flight: F, rows: Tensor, setting: Setting) -> None:
    """Begin the next run of some samples, in place; what they spent and showed so far is kept."""
    if len(rows):
        fresh = attack.enter(model, samples, flight.rows[rows], flight.runs[rows] + 1, setting)
        fresh.passes += flight.passes[rows]
        fresh.zero_gradient |= flight.zero_gradient[rows]
        flight.put(rows, fresh)


@dataclass
class Best:
    """Of every slot, the point of its finished runs at which the model was most wrong."""

    score: Tensor
    """(B,) lead of the wrong classes there; minus infinity before the first run's end."""
    point: Tensor
    """(B, C, H, W)."""

    @classmethod
    def of_nothing(cls, flight: Flight) -> Best:
        """Before any run has ended."""
        return cls(torch.full(flight.rows.shape, -torch.inf, device=flight.rows.device), flight.images.clone())

    def learn(self, model: Model, flight: Flight, ended: Tensor, setting: Setting) -> Tensor:
        """Ask the model about the points of ended runs: (B,) which of them fool it, where that ends the matter."""
        success, rows = torch.zeros_like(ended), ended.nonzero()[:, 0]
        if len(rows):
            points, classes = flight.adversarial[rows], flight.classes[rows]
            with torch.no_grad():
                logits = model(points)
            flight.passes[rows] += 1
            lead = margin(logits, classes) * (1 if setting.threat.goal == "untargeted" else -1)
            better = rows[(lead > self.score[rows]) | (flight.runs[rows] == 0)]
            self.score[rows] = torch.maximum(self.score[rows], lead.nan_to_num(-torch.inf))
            self.point[better] = flight.adversarial[better]
            success[rows] = fooled(logits, classes, setting.threat, setting.slack) & setting.stop_when_fooled
        return success

    def recall(self, flight: Flight, over: Tensor) -> None:
        """Let samples propose the best point of all their runs."""
        flight.adversarial[over] = self.point[over]
