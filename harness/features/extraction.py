"""From a card, its source and its network to batches of a feature set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attacks import as_float
from harness.core.balls import BALLS
from harness.core.errors import HarnessError, in_one_line
from harness.core.tf32 import full_float32
from harness.data import Dataset
from harness.data.feature_card import FeatureCard
from harness.features.assignment import Assignment, assign
from harness.features.descent import Objective, descend, towards_activations, towards_classes
from harness.features.penultimate import penultimate
from harness.features.shards import Shard
from harness.models.classifier import Classifier, undisturbed
from harness.models.ensemble import Ensemble
from harness.models.prepare import prepare

PROBE_IMAGES = 16
"""Real images on which the fast twin is compared with the network."""


@dataclass(frozen=True)
class Extraction:
    """Everything that a batch needs."""

    card: FeatureCard
    classifier: Classifier
    """The network: it says what was reached."""
    twin: torch.nn.Module
    """The same, prepared for speed: descent asks it."""
    pixels: Tensor
    """(N, C, H, W) images of the source."""
    assignment: Assignment
    device: torch.device

    def batch(self, rows: range, after_step: Callable[[int], None]) -> Shard:
        """The images of some rows of the source."""
        chosen = slice(rows.start, rows.stop)
        starts, labels = self.assignment.starts[chosen], self.assignment.labels[chosen].to(self.device)
        # Laid out as convolutions return gradients: mixing layouts slows down every step.
        images = self._images(starts).contiguous(memory_format=torch.channels_last)
        with undisturbed(self.classifier), undisturbed(self.twin):
            descended = descend(self._objective(self.twin, chosen, labels), images, self.card.descent, after_step)
            rounded = descended.half()
            with torch.no_grad(), full_float32():
                objective = self._objective(self.classifier, chosen, labels)
                shard = Shard(
                    images=rounded.contiguous(),
                    labels=labels,
                    starts=starts,
                    begin=objective(images),
                    end=objective(rounded.float()),
                    distances=BALLS[self.card.descent.norm](torch.inf).distance(images, descended),
                    crafted=self.classifier(descended).argmax(1) == labels,
                    kept=self.classifier(rounded.float()).argmax(1) == labels,
                )
        return Shard(*(tensor.cpu() for tensor in shard))

    def _objective(self, model: torch.nn.Module, rows: slice, labels: Tensor) -> Objective:
        if self.card.kind == "match":
            return towards_activations(model, self._images(torch.arange(rows.start, rows.stop)))
        return towards_classes(model, labels)

    def _images(self, rows: Tensor) -> Tensor:
        return as_float(self.pixels[rows].to(self.device))


def start(card: FeatureCard, classifier: Classifier, source: Dataset, device: torch.device) -> Extraction:
    """Assign starts and labels, and prepare the network.

    Raises:
        HarnessError: when the network does not take the source's images, does not know its classes, or has no
            penultimate activations to match.
    """
    classifier = classifier.to(device)
    pixels = torch.from_numpy(source.images)
    probe = as_float(pixels[:PROBE_IMAGES].to(device))
    check(card, classifier, source, probe)
    with undisturbed(classifier):
        twin = prepare(classifier, probe, card.precision).model
    labels, indices = torch.from_numpy(source.labels), torch.from_numpy(source.indices)
    assignment = assign(card.kind, labels, indices, len(source.classes), card.seed)
    return Extraction(card, classifier, twin, pixels, assignment, device)


@torch.no_grad()
def check(card: FeatureCard, classifier: Classifier, source: Dataset, probe: Tensor) -> None:
    """Raise HarnessError unless the network fits the source and the kind of features."""
    channels, standardized = probe.shape[1], classifier.mean.shape[1]
    where = f'model "{card.model}" cannot take the images of {source.name}, {tuple(probe.shape[1:])}'
    if standardized not in (1, channels):
        raise HarnessError(f"{where}: it standardizes {standardized} channels, they have {channels}")
    with undisturbed(classifier):
        try:
            logits = classifier(probe)
        except Exception as error:  # noqa: BLE001 - a forward pass may be the user's code, which may raise anything
            raise HarnessError(f"{where}: {in_one_line(error)}") from None
        if logits.shape[1] < len(source.classes):
            raise HarnessError(
                f'model "{card.model}" has {logits.shape[1]} classes, {source.name} has {len(source.classes)}'
            )
        if card.kind == "match":
            if isinstance(classifier.network, Ensemble):
                raise HarnessError('kind = "match" needs the activations of one network, not of an ensemble')
            penultimate(classifier, probe)
