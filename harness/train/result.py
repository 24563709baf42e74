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


class Origin(NamedTuple):
    """What a training was made from, and where."""

    train_set: Dataset
    test_set: Dataset
    start: str | None
    """Fingerprint of the model whose weights it started from; None for fresh ones."""
    device: str
    processes: int
    """How many of them trained together."""


class Comparison(NamedTuple):
    """One accuracy of a card beside the same accuracy measured now."""

    name: str
    """What was measured."""
    recorded: float | None
    """By the card; None where it says nothing."""
    now: float | None
    """By this machine; None for what the card records and does not ask for any more."""

    @property
    def verdict(self) -> str:
        """Whether they agree: "holds", "differs", or "not recorded", which is neither."""
        if self.recorded is None:
            return "not recorded"
        # 0.002 and a difference of two accuracies are rounded in binary, not always to the same side.
        agree = self.now is not None and abs(self.recorded - self.now) <= TOLERANCE + 1e-9
        return "holds" if agree else "differs"

    @property
    def holds(self) -> bool:
        """Whether nothing that was recorded differs."""
        return self.verdict != "differs"


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


def result_of(path: Path, card: Card, history: list[Epoch], measured: Measured, origin: Origin) -> dict[str, Any]:
    """What the card at `path` says about a finished training."""
    train_set, test_set = origin.train_set, origin.test_set
    snapshots = [file_sha256(weights_path(path, epoch)) for epoch in card.recipe.snapshots]
    return {
        "sha256": file_sha256(weights_path(path)),
        **({"snapshot_sha256": snapshots} if snapshots else {}),
        "asked": card.asked,
        "asked_data": card.asked_data,
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
        **({"start_fingerprint": origin.start} if origin.start else {}),
        "epochs": len(history),
        "seconds": round(sum(epoch.seconds for epoch in history), 1),
        "device": device_name(origin.device),
        **({"processes": origin.processes} if origin.processes > 1 else {}),
        "torch": torch.__version__,
        "losses": [round(epoch.loss, 4) for epoch in history],
        "train_accuracies": [round(epoch.train_accuracy, 4) for epoch in history],
        "test_accuracies": [epoch.test_accuracy for epoch in history],
    }


def compare(recorded: dict[str, Any], measured: Measured) -> list[Comparison]:
    """The accuracies that a card records and those measured now, side by side."""
    robust = dict(zip(recorded.get("robust_threats", []), recorded.get("robust_accuracies", []), strict=True))
    return [
        Comparison("clean accuracy", recorded["clean_accuracy"], measured.clean),
        *(
            Comparison(f"{ATTACK_LABEL}, {threat}", robust.get(threat), measured.robust.get(threat))
            for threat in dict.fromkeys([*robust, *measured.robust])
        ),
    ]
