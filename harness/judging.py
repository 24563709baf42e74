"""Asking models about images: clean predictions, and the verdict on what attacks propose.

Every proposed image is checked against the threat model; then the target itself is asked, in full float32 and with its
original weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from harness.attacks import Crafted, Samples, as_float
from harness.core.balls import BALLS
from harness.core.errors import HarnessError, ThreatModelViolation
from harness.core.randomness import Draws
from harness.core.tf32 import full_float32
from harness.core.threat import ThreatModel
from harness.data import Dataset
from harness.models.classifier import Classifier, undisturbed
from harness.models.layout import logits_of

TOLERANCE = 2**-24
"""Rounding of a float32 pixel just below 1: what image + perturbation may exceed an exact budget by."""

NO_MEMBER = -1
"""In place of the number of a composed attack's member, where there is none."""


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
    """(N,) predicted classes in full float32; -1 where a logit is not finite."""
    with torch.no_grad(), full_float32():
        logits = logits_of(model, images)
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


def whole_batches(chosen: Tensor, batch_size: int) -> Tensor:
    """(N,) all samples of every batch of consecutive ones that has a chosen one; the last batch may be smaller."""
    return torch.cat([part.any().expand(len(part)) for part in chosen.split(batch_size)])


def check_crafted(crafted: Crafted, samples: Samples, owed: Tensor, name: str) -> None:
    """Raise HarnessError when an attack returns images of another shape, or a sample that is not owed, or one twice.

    Args:
        crafted: what the attack of this name returns for some of the samples.
        samples: all that it was given.
        owed: (M,) which of them it has not returned yet.
        name: of the attack.
    """
    expected, got = (len(crafted.rows), *samples.images.shape[1:]), tuple(crafted.adversarial.shape)
    if got != expected:
        raise HarnessError(f'attack "{name}" returned images of shape {got} instead of {expected}')
    if not owed[crafted.rows].all() or len(crafted.rows.unique()) != len(crafted.rows):
        raise HarnessError(f'attack "{name}" returned a sample twice')


def verify(batch: Batch, arena: Arena, threat: ThreatModel, attack: str) -> dict[str, Tensor]:
    """(B,) distances, by norm, of images that keep to the threat model. `attack` is a name for messages.

    Raises:
        ThreatModelViolation: for images that are not finite, outside [0, 1] or outside the ball.
    """
    images, adversarial = as_float(arena.images[batch.rows]), batch.adversarial
    if not adversarial.isfinite().all():
        raise ThreatModelViolation(f'attack "{attack}" returned images with NaN or infinite pixels')
    if adversarial.min() < 0 or adversarial.max() > 1:
        low, high = adversarial.min().item(), adversarial.max().item()
        raise ThreatModelViolation(f'attack "{attack}" left the range [0, 1]: pixels from {low:.8g} to {high:.8g}')
    distances = {norm: ball(threat.epsilon).distance(images, adversarial) for norm, ball in BALLS.items()}
    worst = distances[threat.norm].max().item()
    if worst > threat.epsilon * (1 + 1e-6) + TOLERANCE:
        raise ThreatModelViolation(
            f'attack "{attack}" left its threat model {threat.label}: '
            f"worst distance {worst:.8g}, budget {threat.epsilon:.8g}"
        )
    return distances


def judge(
    target: Classifier,
    clean: npt.NDArray[np.int64],
    batch: Batch,
    wanted: Tensor,
    arena: Arena,
    threat: ThreatModel,
    distances: Mapping[str, Tensor],
) -> pd.DataFrame:
    """Ask a target about adversarial images: their outcomes.

    Args:
        target: the model that is judged, with its original weights, in float32.
        clean: (N,) its predictions on the clean images.
        batch: adversarial images of some of the N samples.
        wanted: (N,) true or wanted classes.
        arena: the clean images.
        threat: the threat model.
        distances: (B,) by norm, from `verify`.
    """
    with undisturbed(target):
        prediction = torch.cat([predict(target, part) for part in batch.adversarial.split(arena.batch_size)])
    rows = batch.rows.cpu().numpy()
    return pd.DataFrame({
        "index": arena.dataset.indices[rows],
        "label": arena.dataset.labels[rows],
        "wanted": wanted[batch.rows].cpu().numpy(),
        "clean_prediction": clean[rows],
        "adversarial_prediction": prediction.cpu().numpy(),
        "success": reached(prediction, wanted[batch.rows], threat).cpu().numpy(),
        **{norm: distance.cpu().numpy() for norm, distance in distances.items()},
        "passes": batch.passes.cpu().numpy(),
        "zero_gradient": batch.zero_gradient.cpu().numpy(),
        "member": batch.member.cpu().numpy(),
    })  # fmt: skip


def join(batches: list[Batch]) -> Batch:
    """One batch of several, in the order of the arena."""
    joined = Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    return joined.take(joined.rows.argsort())
