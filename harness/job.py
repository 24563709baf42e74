"""A job: craft once, verify, judge on many.

The attack proposes, this module judges: every image is checked against the threat model, then the target itself is
asked, in float32 and with its original weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from harness.attacks import Crafted, Samples, Setting, as_float
from harness.attacks.resolve import ResolvedAttack
from harness.core.balls import BALLS
from harness.core.errors import HarnessError, ThreatModelViolation
from harness.core.precision import PassPrecision, Precision, stages
from harness.core.randomness import Draws
from harness.core.threat import ThreatModel
from harness.data import Dataset
from harness.models.classifier import Classifier, undisturbed
from harness.models.prepare import prepare

TOLERANCE = 2**-24
"""Rounding of a float32 pixel just below 1: what image + perturbation may exceed an exact budget by."""

NO_MEMBER = -1
"""In place of the number of a composed attack's member, where there is none."""

PROBE_IMAGES = 16
"""Real images on which a fast twin is compared with its original."""


@dataclass(frozen=True)
class Arena:
    """The images of a data set, on the device, and how many of them at once."""

    dataset: Dataset
    device: torch.device
    batch_size: int
    images: Tensor = field(init=False)
    labels: Tensor = field(init=False)
    indices: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Move the data set to the device."""
        object.__setattr__(self, "images", torch.from_numpy(np.ascontiguousarray(self.dataset.images)).to(self.device))
        object.__setattr__(self, "labels", torch.from_numpy(self.dataset.labels).to(self.device))
        object.__setattr__(self, "indices", torch.from_numpy(self.dataset.indices).to(self.device))

    def with_batch_size(self, batch_size: int) -> Arena:
        """The same images, more or fewer of them at once; nothing is moved."""
        arena = copy.copy(self)
        object.__setattr__(arena, "batch_size", batch_size)
        return arena


def predict(model: Classifier, images: Tensor) -> Tensor:
    """(N,) predicted classes in float32; -1 where a logit is not finite."""
    with torch.no_grad():
        # The same arithmetic, about a tenth faster on CPUs.
        logits = model(images.contiguous(memory_format=torch.channels_last))
    return torch.where(logits.isfinite().all(1), logits.argmax(1), -1)


def run_clean(model: Classifier, arena: Arena) -> pd.DataFrame:
    """Predictions on the clean images, as outcomes of a cell without an attack."""
    with undisturbed(model):
        parts = [predict(model, as_float(images)).cpu() for images in arena.images.split(arena.batch_size)]
    predictions, labels = torch.cat(parts).numpy(), arena.dataset.labels
    return pd.DataFrame({
        "index": arena.dataset.indices, "label": labels, "wanted": labels, "clean_prediction": predictions,
        "adversarial_prediction": predictions, "success": predictions != labels, "linf": 0.0, "l2": 0.0, "l1": 0.0,
        "passes": 0, "zero_gradient": False, "member": NO_MEMBER,
    })  # fmt: skip


def wanted_classes(arena: Arena, threat: ThreatModel, classes: int, seed: int) -> Tensor:
    """(N,) the class a targeted attack aims at; the true class for an untargeted one."""
    match threat.goal:
        case "untargeted":
            return arena.labels
        case "next":
            return (arena.labels + 1) % classes
        case "random":
            draws = Draws(seed, arena.indices, torch.zeros_like(arena.indices))
            offset = 1 + (draws.uniform("wanted-class") * (classes - 1)).floor().long()
            return (arena.labels + offset) % classes


def reached(predictions: Tensor, wanted: Tensor, threat: ThreatModel) -> Tensor:
    """(N,) whether predictions reach the goal: any class but the true one, or the wanted one."""
    return predictions != wanted if threat.goal == "untargeted" else predictions == wanted


class Batch(NamedTuple):
    """Crafted images, addressed by their rows in the arena."""

    rows: Tensor
    adversarial: Tensor
    passes: Tensor
    zero_gradient: Tensor
    member: Tensor

    def take(self, chosen: Tensor) -> Batch:
        """Some of the images."""
        return Batch(*(part[chosen] for part in self))


@dataclass(frozen=True)
class CraftJob:
    """Adversarial images of one surrogate, attack, threat model and seed, judged on several targets."""

    attack: ResolvedAttack
    threat: ThreatModel
    seed: int
    classes: int
    """Number of classes of the surrogate."""
    whitebox: bool
    """The one target is the surrogate itself: samples may stop at the first success."""
    precision: Precision = "float32"
    """In which precision images are crafted."""

    def run(
        self,
        surrogate: Classifier,
        targets: Mapping[str, Classifier],
        clean: Mapping[str, npt.NDArray[np.int64]],
        arena: Arena,
        finished: npt.NDArray[np.bool_],
    ) -> Iterator[dict[str, pd.DataFrame]]:
        """Yield finished batches: the outcomes of some samples on every target, by cell id.

        Args:
            surrogate: the model that crafts.
            targets: the models that are judged, by cell id.
            clean: (N,) clean predictions of every target, by cell id.
            arena: all N images.
            finished: (N,) samples that have outcomes already.

        Raises:
            ThreatModelViolation: when the attack returns an image outside its threat model.
        """
        wanted = wanted_classes(arena, self.threat, self.classes, self.seed)
        todo = torch.from_numpy(~finished).to(arena.device)
        decided = torch.zeros_like(todo)
        if self.whitebox:
            (prediction,) = (torch.tensor(clean[id], device=arena.device) for id in targets)
            decided = reached(prediction, wanted, self.threat)
        passes = torch.zeros_like(wanted)
        *screens, last = stages(self.precision)
        for precision in (*screens, last):
            for batch in self._batches(surrogate, arena, wanted, todo, decided, precision):
                passes[batch.rows] += batch.passes
                batch = batch._replace(passes=passes[batch.rows])
                distances = self.verify(batch, arena)
                judged = {
                    id: self._judge(target, clean[id], batch, wanted, arena, distances)
                    for id, target in targets.items()
                }
                if precision != last:
                    # What survived the screen is left to the next stage. Only white-box jobs, of one target, screen.
                    judged = {id: outcomes[outcomes["success"]] for id, outcomes in judged.items()}
                decided_now = np.isin(arena.dataset.indices, next(iter(judged.values()))["index"])
                todo &= torch.from_numpy(~decided_now).to(arena.device)
                if decided_now.any():
                    yield judged

    def _batches(
        self,
        surrogate: Classifier,
        arena: Arena,
        wanted: Tensor,
        todo: Tensor,
        decided: Tensor,
        precision: PassPrecision,
    ) -> Iterator[Batch]:
        """Batches of about the arena's batch size: first the samples that need no attack, then crafted ones."""
        if (decided & todo).any():
            for rows in (decided & todo).nonzero()[:, 0].split(arena.batch_size):
                none = torch.zeros_like(rows)
                yield Batch(rows, as_float(arena.images[rows]), none, none.bool(), none + NO_MEMBER)
        if not (todo & ~decided).any():
            return
        fast = prepare(surrogate, as_float(arena.images[:PROBE_IMAGES]), precision)
        everything = Samples(arena.images, arena.labels, arena.indices)
        setting = Setting(self.threat, self.seed, arena.batch_size, self.whitebox, fast.slack, pool=everything)
        with undisturbed(surrogate):
            waiting: list[Batch] = []
            for batch in self._craft(fast.model, arena, wanted, todo, decided, setting):
                waiting.append(batch)
                if sum(len(part.rows) for part in waiting) >= arena.batch_size:
                    yield join(waiting)
                    waiting = []
            if waiting:
                yield join(waiting)

    def _craft(
        self, model: nn.Module, arena: Arena, wanted: Tensor, todo: Tensor, decided: Tensor, setting: Setting
    ) -> Iterator[Batch]:
        """Run the attack on the undecided samples that are to do.

        Where results depend on the batch, its composition may not depend on what was finished before: batches are
        cut from all undecided samples, and one with a missing sample runs whole.
        """
        attack = self.attack.attack
        undecided = (~decided).nonzero()[:, 0]
        if attack.batch_dependent:
            groups = [rows for rows in undecided.split(setting.batch_size) if todo[rows].any()]
        else:
            groups = [undecided[todo[undecided]]]
        for rows in groups:
            samples = Samples(arena.images[rows], wanted[rows], arena.indices[rows])
            owed = torch.ones_like(rows, dtype=torch.bool)
            for crafted in attack.craft(model, samples, setting):
                self._check_crafted(crafted, samples, owed)
                owed[crafted.rows] = False
                member = torch.full_like(crafted.rows, NO_MEMBER) if crafted.member is None else crafted.member
                batch = Batch(rows[crafted.rows], *crafted[1:4], member)
                missing = todo[batch.rows]
                if missing.any():
                    yield batch.take(missing)
            if owed.any():
                raise HarnessError(
                    f'attack "{self.attack.name}" returned no image for {int(owed.sum())} of {len(rows)} samples'
                )

    def _check_crafted(self, crafted: Crafted, samples: Samples, owed: Tensor) -> None:
        """Raise HarnessError when an attack returns images of another shape, or a sample twice."""
        expected, got = (len(crafted.rows), *samples.images.shape[1:]), tuple(crafted.adversarial.shape)
        if got != expected:
            raise HarnessError(f'attack "{self.attack.name}" returned images of shape {got} instead of {expected}')
        if not owed[crafted.rows].all() or len(crafted.rows.unique()) != len(crafted.rows):
            raise HarnessError(f'attack "{self.attack.name}" returned a sample twice')

    def verify(self, batch: Batch, arena: Arena) -> dict[str, Tensor]:
        """(B,) distances, by norm, of images that keep to the threat model.

        Raises:
            ThreatModelViolation: for images that are not finite, outside [0, 1] or outside the ball.
        """
        images, adversarial = as_float(arena.images[batch.rows]), batch.adversarial
        name, label = self.attack.name, self.threat.label
        if not adversarial.isfinite().all():
            raise ThreatModelViolation(f'attack "{name}" returned images with NaN or infinite pixels')
        if adversarial.min() < 0 or adversarial.max() > 1:
            low, high = adversarial.min().item(), adversarial.max().item()
            raise ThreatModelViolation(f'attack "{name}" left the range [0, 1]: pixels from {low:.8g} to {high:.8g}')
        distances = {norm: ball(self.threat.epsilon).distance(images, adversarial) for norm, ball in BALLS.items()}
        worst = distances[self.threat.norm].max().item()
        if worst > self.threat.epsilon * (1 + 1e-6) + TOLERANCE:
            raise ThreatModelViolation(
                f'attack "{name}" left its threat model {label}: '
                f"worst distance {worst:.8g}, budget {self.threat.epsilon:.8g}"
            )
        return distances

    def _judge(
        self,
        target: Classifier,
        clean: npt.NDArray[np.int64],
        batch: Batch,
        wanted: Tensor,
        arena: Arena,
        distances: Mapping[str, Tensor],
    ) -> pd.DataFrame:
        """Ask the target about adversarial images."""
        with undisturbed(target):
            prediction = torch.cat([predict(target, part) for part in batch.adversarial.split(arena.batch_size)])
        rows = batch.rows.cpu().numpy()
        return pd.DataFrame({
            "index": arena.dataset.indices[rows],
            "label": arena.dataset.labels[rows],
            "wanted": wanted[batch.rows].cpu().numpy(),
            "clean_prediction": clean[rows],
            "adversarial_prediction": prediction.cpu().numpy(),
            "success": reached(prediction, wanted[batch.rows], self.threat).cpu().numpy(),
            **{norm: distance.cpu().numpy() for norm, distance in distances.items()},
            "passes": batch.passes.cpu().numpy(),
            "zero_gradient": batch.zero_gradient.cpu().numpy(),
            "member": batch.member.cpu().numpy(),
        })  # fmt: skip


def join(batches: list[Batch]) -> Batch:
    """One batch of several."""
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
