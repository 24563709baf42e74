"""What a card says about finished weights, and whether it still holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from harness.attacks.resolve import resolve
from harness.core.threat import ThreatModel
from harness.crafting import CraftJob
from harness.data import Dataset
from harness.data.load import load_dataset
from harness.environment import device_name
from harness.judging import Arena, run_clean
from harness.models.card import Card, file_sha256, weights_path
from harness.models.classifier import Classifier
from harness.surrogate import Surrogate
from harness.train.checkpoint import Epoch
from harness.train.loop import TEST_BATCH

ATTACK, ARGUMENTS, ATTACK_LABEL = "pgd", {"steps": 20, "step_size": "2.5 eps/steps"}, "PGD-20"
"""What robust accuracies are measured with (benz2021, tables 1 and 2)."""

ROBUST_IMAGES = 1000
"""Test images of the robust accuracies, equally many per class."""

TOLERANCE = 0.002
"""By which an accuracy may differ on another machine: rounding turns a few predictions."""


class Measured(NamedTuple):
    """Accuracies of finished weights."""

    clean: float
    """On the whole test set."""
    robust: dict[str, float]
    """By threat model, on some test images."""
    robust_images: int
    """How many."""


class Comparison(NamedTuple):
    """One accuracy of a card beside the same accuracy measured now."""

    name: str
    """What was measured."""
    recorded: float
    """By the card."""
    now: float
    """By this machine."""

    @property
    def holds(self) -> bool:
        """Whether they agree."""
        return abs(self.recorded - self.now) <= TOLERANCE


def measure(classifier: Classifier, card: Card, test_set: Dataset, device: torch.device) -> Measured:
    """Clean accuracy, and accuracy under PGD-20 in the card's threat models, of a classifier on the device."""
    clean = run_clean(classifier, Arena(test_set, device, TEST_BATCH))
    images = min(ROBUST_IMAGES, len(test_set.labels))
    some = load_dataset(card.test_data.id, card.test_data.arguments, samples=images)
    arena = Arena(some, device, TEST_BATCH)
    attacked = Surrogate(classifier)
    robust = {threat.label: robust_accuracy(attacked, arena, threat) for threat in threats_of(card)}
    return Measured(float((~clean["success"]).mean()), robust, images)


def threats_of(card: Card) -> Iterator[ThreatModel]:
    """The card's threat models, and the one that it was trained against."""
    threats = [ThreatModel(threat.norm, threat.epsilon) for threat in card.robustness]
    if card.recipe.adversarial:
        threats.append(ThreatModel(card.recipe.adversarial.norm, card.recipe.adversarial.epsilon))
    yield from dict.fromkeys(threats)


def robust_accuracy(attacked: Surrogate, arena: Arena, threat: ThreatModel) -> float:
    """Share of the images that are still classified correctly under PGD-20."""
    job = CraftJob(resolve(ATTACK, ARGUMENTS, threat, {}), threat, 0, len(arena.dataset.classes), whitebox=True)
    clean = run_clean(attacked.model, arena)["clean_prediction"].to_numpy()
    nothing = np.zeros(len(arena.labels), dtype=bool)
    parts = job.run(attacked, {"cell": attacked.model}, {"cell": clean}, arena, nothing)
    return float(1 - pd.concat([part["cell"] for part in parts])["success"].mean())


def result_of(
    path: Path, card: Card, history: list[Epoch], measured: Measured, data: tuple[Dataset, Dataset], device: str
) -> dict[str, Any]:
    """What the card at `path` says about a finished training on `data`, a training and a test set."""
    train_set, test_set = data
    snapshots = [file_sha256(weights_path(path, epoch)) for epoch in card.recipe.snapshots]
    return {
        "sha256": file_sha256(weights_path(path)),
        **({"snapshot_sha256": snapshots} if snapshots else {}),
        "asked": card.asked,
        "clean_accuracy": measured.clean,
        "test_images": len(test_set.labels),
        "robust_attack": ATTACK_LABEL,
        "robust_threats": list(measured.robust),
        "robust_accuracies": [round(accuracy, 6) for accuracy in measured.robust.values()],
        "robust_images": measured.robust_images,
        "train_accuracy": history[-1].train_accuracy,
        "train_data": train_set.name,
        "test_data": test_set.name,
        "train_fingerprint": train_set.fingerprint,
        "test_fingerprint": test_set.fingerprint,
        "epochs": len(history),
        "seconds": round(sum(epoch.seconds for epoch in history), 1),
        "device": device_name(device),
        "torch": torch.__version__,
        "losses": [round(epoch.loss, 4) for epoch in history],
        "train_accuracies": [round(epoch.train_accuracy, 4) for epoch in history],
        "test_accuracies": [epoch.test_accuracy for epoch in history],
    }


def compare(recorded: dict[str, Any], measured: Measured) -> list[Comparison]:
    """The accuracies that a card records beside those measured now."""
    robust = dict(zip(recorded.get("robust_threats", []), recorded.get("robust_accuracies", []), strict=True))
    return [
        Comparison("clean accuracy", recorded["clean_accuracy"], measured.clean),
        *(
            Comparison(f"{ATTACK_LABEL}, {threat}", accuracy, measured.robust[threat])
            for threat, accuracy in robust.items()
            if threat in measured.robust
        ),
    ]
