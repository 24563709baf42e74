"""Small networks, images and attacks that do as they are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from harness.attacks import Attack, Crafted, Model, Samples, Setting, as_float
from harness.attacks.resolve import ResolvedAttack, resolve, sweep
from harness.core.threat import Norm, ThreatModel
from harness.crafting import CraftJob
from harness.data import Dataset
from harness.judging import Arena, predict, run_clean
from harness.models.classifier import Classifier, Provenance
from harness.surrogate import Surrogate

CLASSES = 4
COUNT = 24
LINF, L2 = ThreatModel("linf", 0.05), ThreatModel("l2", 0.3)
NOTHING = np.zeros(COUNT, dtype=bool)


def model(seed: int = 0) -> Classifier:
    """A small smooth network for images (N, 1, 8, 8)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, CLASSES))
    with torch.no_grad():
        layers[4].weight.mul_(3)  # type: ignore[operator]
    return Classifier(layers, Provenance(f"test {seed}"))


def arena(batch_size: int = 5, wrong: int = 0, dtype: Any = np.float32, of: Classifier | None = None) -> Arena:
    """Images that `of` gets right but for the first `wrong` of them; data set indices are 1000, 997, ..."""
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 8, 8), dtype=np.uint8)
    images = pixels if dtype == np.uint8 else (pixels / np.float32(255)).astype(np.float32)
    labels = predict(of or model(), as_float(torch.from_numpy(images))).numpy()
    labels[:wrong] = (labels[:wrong] + 1) % CLASSES
    indices = 1000 - 3 * np.arange(COUNT)
    dataset = Dataset("toy", images, labels, indices, tuple("abcd"), "fingerprint")
    return Arena(dataset, torch.device("cpu"), batch_size)


def attack(name: str, threat: ThreatModel, **given: Any) -> ResolvedAttack:
    (arguments,) = sweep(name, None, given)
    return resolve(name, arguments, threat, given)


def clean(target: Classifier, arena: Arena) -> npt.NDArray[np.int64]:
    return run_clean(target, arena)["clean_prediction"].to_numpy()


def run(
    job: CraftJob, surrogate: Classifier, arena: Arena, finished: npt.NDArray[np.bool_] = NOTHING, **targets: Classifier
) -> dict[str, pd.DataFrame]:
    """All outcomes by target, ordered by data set index."""
    judged = targets or {"cell": surrogate}
    predictions = {id: clean(target, arena) for id, target in judged.items()}
    batches = list(job.run(Surrogate(surrogate), judged, predictions, arena, finished))
    return {id: pd.concat([b[id] for b in batches]).sort_values("index", ignore_index=True) for id in judged}


def whitebox(name: str = "pgd", threat: ThreatModel = LINF, seed: int = 0, **given: Any) -> CraftJob:
    return CraftJob(attack(name, threat, **given), threat, seed, CLASSES, whitebox=True)


def transfer(name: str = "pgd", threat: ThreatModel = LINF, seed: int = 0, **given: Any) -> CraftJob:
    return CraftJob(attack(name, threat, **given), threat, seed, CLASSES, whitebox=False)


@dataclass(frozen=True)
class Proposing:
    """An attack that returns whatever it is told to: `change` is added to the images, or replaces them if absolute."""

    change: Tensor
    absolute: bool = False
    norms: frozenset[Norm] = frozenset({"linf", "l2"})
    version: str = "1"
    batch_dependent: bool = False
    members: tuple[str, ...] = ()
    seen: list[list[int]] = field(default_factory=list)
    """Data set indices of the samples that it was given, one list per call."""

    def cost(self, setting: Setting) -> int:
        return 1

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        return {}

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        self.seen.append(samples.indices.tolist())
        rows = torch.arange(len(samples))
        images = samples.pixels(rows)
        proposed = self.change.expand_as(images).clone() if self.absolute else images + self.change
        yield Crafted(rows, proposed, torch.ones_like(rows), torch.zeros_like(rows, dtype=torch.bool))


def proposing(change: float | Tensor, threat: ThreatModel = LINF, absolute: bool = False) -> CraftJob:
    proposal: Attack = Proposing(torch.as_tensor(change, dtype=torch.float32), absolute)
    return CraftJob(ResolvedAttack("cheat", proposal, {}, {}), threat, 0, CLASSES, whitebox=False)


def grey_arena() -> Arena:
    """Images far from both ends of the range."""
    images = np.full((COUNT, 1, 8, 8), 0.5, dtype=np.float32)
    dataset = Dataset("grey", images, np.zeros(COUNT, dtype=np.int64), np.arange(COUNT), tuple("abcd"), "fingerprint")
    return Arena(dataset, torch.device("cpu"), 5)


def one_pixel(value: float) -> Tensor:
    change = torch.zeros(1, 1, 8, 8)
    change[0, 0, 3, 3] = value
    return change
