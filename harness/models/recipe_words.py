"""A card's recipe in a few words, for listings."""

from __future__ import annotations

from collections.abc import Iterator

from harness.core.threat import ThreatModel
from harness.models.card import Card

STATISTICS = {"update": "statistics", "reset": "reset statistics", "frozen": "no statistics"}
"""What becomes of running statistics when no parameter learns."""


def recipe_in_words(card: Card) -> str:
    """Such as "standard, 20 epochs" or "BN parameters of NAME, adversarial L∞ 8/255, 10 epochs"."""
    return ", ".join(_words(card))


def _words(card: Card) -> Iterator[str]:
    recipe = card.recipe
    changed = what_changes(card)
    if changed or card.start:
        start = (card.start or "").removeprefix("zoo:")
        yield f"{changed or 'all'} of {start}" if start else f"{changed} only"
    if recipe.adversarial:
        attack = recipe.adversarial
        share = "" if attack.share == 1 else f" ({attack.share:.0%})"
        yield f"adversarial {ThreatModel(attack.norm, attack.epsilon).label}{share}"
    if recipe.gradient_similarity:
        yield f"LIGS x {recipe.gradient_similarity.weight:g}"
    if not (changed or card.start or recipe.adversarial or recipe.gradient_similarity):
        yield "standard"
    if recipe.optimizer != "sgd":
        yield recipe.optimizer
    yield f"{recipe.epochs} epoch{'' if recipe.epochs == 1 else 's'}"


def what_changes(card: Card) -> str:
    """Which parts of the network training changes; nothing when it is the whole network."""
    changes, norm = card.recipe.changes, card.architecture.norm.upper()
    if changes.parameters == ("all",):
        return "all but statistics" if changes.statistics == "frozen" else ""
    if not changes.parameters:
        return f"{norm} {STATISTICS[changes.statistics]}"
    parts = " + ".join(part.replace("norm", f"{norm} parameters") for part in changes.parameters)
    return f"{parts} with frozen statistics" if changes.statistics == "frozen" else parts
