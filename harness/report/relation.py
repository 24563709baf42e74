"""How a target is related to the surrogate on which it is attacked."""

from __future__ import annotations

from harness.cells import ModelEntry

WHITE_BOX, SAME, OTHER = RELATIONS = ("White-box", "Same architecture", "Other architecture")
"""The same model; another network of the same architecture; a network of another one."""

BLACK_BOX = "black-box"
"""What filters and means call both relations in which the target is not the surrogate."""

MEANS_OVER = {
    "mean.black-box": (SAME, OTHER),
    "mean.white-box": (WHITE_BOX,),
    "mean.same-architecture": (SAME,),
    "mean.other-architecture": (OTHER,),
}
"""Last columns that take the mean over part of the row, with the relations that they count."""


def relation(surrogate: ModelEntry, target: ModelEntry) -> str:
    """One of RELATIONS; models are the same when their fingerprints are."""
    if surrogate.description.fingerprint == target.description.fingerprint:
        return WHITE_BOX
    return SAME if architecture(surrogate) == architecture(target) else OTHER


def architecture(model: ModelEntry) -> str:
    """The fact `architecture` of a model, or else its label, which twins with and without BatchNorm share."""
    return str(model.facts.get("architecture", model.label))


def other_words(text: str) -> set[str]:
    """How filters may write a relation besides as printed."""
    words = {text.lower(), text.lower().replace(" ", "-")}
    return words if text == WHITE_BOX else {*words, BLACK_BOX}
