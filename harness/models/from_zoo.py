"""Our own checkpoints: a card, and its weights beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import nn

from harness.core.errors import HarnessError, Unavailable, did_you_mean
from harness.core.geometry import Geometry, square
from harness.models import MODEL_SOURCES
from harness.models.card import Card, file_sha256, read_card, weights_path, zoo_cards
from harness.models.classifier import Classifier, Provenance
from harness.models.construction import construct
from harness.models.networks import NETWORKS
from harness.models.weights import load_strictly, read_state

SNAPSHOT = re.compile(r"epoch(\d+)")
"""How the weights after an epoch are named after the @."""


@MODEL_SOURCES.register("zoo")
def from_zoo(name: str) -> Classifier:
    """zoo:NAME - a trained model of the zoo; zoo:NAME@epochN - as it was after an epoch; zoo:NAME@none - untrained.

    Raises:
        Unavailable: for weights that are missing.
        HarnessError: for an unknown name, and as `trained` does.
    """
    stem, at, weights = name.partition("@")
    cards = zoo_cards()
    if stem not in cards:
        raise HarnessError(f'there is no zoo model "{stem}".\n     {did_you_mean(stem, cards)}')
    path = cards[stem]
    card = read_card(path)
    if weights == "none":
        provenance = Provenance(f"zoo:{name}", random_weights=True, details={"recipe": card.recipe.model_dump()})
        return _classifier(build_network(card), provenance, card)
    return trained(path, card, name, snapshot_of(stem, weights, card) if at else None)


def trained(path: Path, card: Card, name: str, epoch: int | None = None) -> Classifier:
    """The network of a card's file, wherever it is, with the weights of the end or those after an epoch.

    Raises:
        Unavailable: for weights that are missing.
        HarnessError: for a card that was changed since, and for weights that are not those that it was written for.
    """
    file = weights_path(path, epoch)
    details = {**_verified(name.partition("@")[0], card, file, epoch), "recipe": card.recipe.model_dump()}
    network = build_network(card)
    load_strictly(network, read_state(file).tensors, f"zoo:{name}")
    return _classifier(network, Provenance(f"zoo:{name}", details=details), card)


def snapshot_of(name: str, weights: str, card: Card) -> int:
    """The epoch that "epochN" names. Raises HarnessError when the card keeps no such snapshot."""
    kept = card.recipe.snapshots
    found = SNAPSHOT.fullmatch(weights)
    if not found or int(found[1]) not in kept:
        there_are = ", ".join([f"zoo:{name}", *(f"zoo:{name}@epoch{epoch}" for epoch in kept), f"zoo:{name}@none"])
        raise HarnessError(f'zoo:{name} has no weights "{weights}".\n     write one of {there_are}')
    return int(found[1])


def build(card: Card, name: str) -> Classifier:
    """A card's classifier before training: freshly initialized from the card's seed."""
    return _classifier(build_network(card), Provenance(f"zoo:{name}"), card)


def build_network(card: Card) -> nn.Module:
    """A card's network, freshly initialized from the card's seed; the global generator is left as it was."""
    shape = card.architecture
    return construct(NETWORKS.get(shape.network), shape.arguments, f"network {shape.network}", seed=card.seed)


def _classifier(network: nn.Module, provenance: Provenance, card: Card) -> Classifier:
    return Classifier(network, provenance, mean=card.mean, std=card.std, geometry=_geometry(card))


def _geometry(card: Card) -> Geometry | None:
    """The square that a card's test images were made into, where they are files of any size."""
    size = card.test_data.arguments.get("size")
    return square(size) if isinstance(size, int) else None


def _verified(name: str, card: Card, file: Path, epoch: int | None) -> dict[str, Any]:
    """What a card's result says, once the weights are known to be the ones that it speaks of."""
    if not file.is_file():
        raise Unavailable(f"zoo:{name} has no weights yet ({file} is missing).\n     harness train {name}")
    expected, accuracy = card.result.get("sha256"), card.result.get("clean_accuracy")
    if epoch is not None:
        expected = dict(zip(card.recipe.snapshots, card.result.get("snapshot_sha256", []), strict=False)).get(epoch)
        accuracy = card.result.get("test_accuracies", [None] * epoch)[epoch - 1]
    if expected is None:
        raise Unavailable(
            f"zoo:{name}: the card says nothing about the weights in {file}; its training did not end.\n"
            f"     harness train {name}"
        )
    if card.changed:
        raise HarnessError(
            f"zoo:{name}: the card was changed after it was trained, and says what its weights are not.\n"
            f"     undo the change, or train it anew: harness train {name} --force"
        )
    found = file_sha256(file)
    if found != expected:
        raise HarnessError(
            f"zoo:{name}: {file} is not the file that the card was written for:\n"
            f"     its sha256 is {found}, the card says {expected}.\n"
            f"     restore the file, or train it anew: harness train {name}"
        )
    return {"weights_file": file.name, "weights_sha256": found, "clean_accuracy": accuracy}
