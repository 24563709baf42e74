"""`harness list models`: the zoo, a row per card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError, in_one_line
from harness.core.registry import parameters_of

if TYPE_CHECKING:
    from harness.models.card import Architecture, Card, DataKeys

Row = dict[str, Any]

FOLDING = ("recipe",)
"""What is folded where a terminal is narrow."""

EXPENDABLE = ("data", "norm", "network/width")
"""Columns that give way, in this order, where that is not enough: most names tell them."""


def models() -> list[Row]:
    """Every zoo model with everything that its card says, the card itself included."""
    from harness.models.card import zoo_cards

    return [{"name": f"zoo:{name}", **model(path)} for name, path in zoo_cards().items()]


def model(path: Path) -> Row:
    """What a card says; a card that cannot be read says why."""
    from harness.models.card import read_card, weights_path
    from harness.models.recipe_words import recipe_in_words

    there = {"file": str(path), "trained": weights_path(path).is_file()}
    try:
        card = read_card(path)
    except HarnessError as error:
        return {"summary": in_one_line(error), **there, "snapshots": []}
    return {
        "summary": card.summary,
        **there,
        "changed": card.changed,
        "snapshots": [epoch for epoch in card.recipe.snapshots if weights_path(path, epoch).is_file()],
        "network": card.architecture.network,
        "width": width_of(card.architecture),
        "norm": card.architecture.norm,
        "data": data_of(card.train_data),
        "recipe": recipe_in_words(card),
        "clean_accuracy": card.result.get("clean_accuracy"),
        "robust_accuracies": robust_accuracies(card),
        "card": card.model_dump(mode="json"),
    }


def width_of(shape: Architecture) -> int | None:
    """Channels of the first stage: the card's, else the network's own; none for an unknown network."""
    from harness.models.networks import NETWORKS

    if shape.width is not None or shape.network not in NETWORKS:
        return shape.width
    default = parameters_of(NETWORKS.get(shape.network)).get("width")
    return default.default if default else None


def data_of(keys: DataKeys) -> str:
    """What a card's images are called, without the split."""
    name = str(keys.arguments.get("name") or keys.arguments.get("path") or keys.id)
    return name.removesuffix(" train")


def robust_accuracies(card: Card) -> dict[str, float]:
    """Accuracies under PGD by threat model, as far as they were measured."""
    result = card.result
    return dict(zip(result.get("robust_threats", []), result.get("robust_accuracies", []), strict=False))


def printed(row: Mapping[str, Any]) -> Row:
    """A row as a table shows it."""
    if "card" not in row:
        unread = dict.fromkeys(("network/width", "norm", "data"), "-")
        return {"name": row["name"], **unread, "recipe": row["summary"], "clean": "-", "PGD": "-", **weights(row)}
    shape, clean = row["card"]["architecture"], row["clean_accuracy"]
    size = "" if row["width"] is None else f"/{row['width']}"
    details = [shape["activation"], "no shortcut" if shape["shortcut"] is False else None]
    robust = [f"{accuracy:.1%} {threat}" for threat, accuracy in row["robust_accuracies"].items()]
    return {
        "name": row["name"],
        "network/width": ", ".join([f"{row['network']}{size}", *filter(None, details)]),
        "norm": row["norm"],
        "data": row["data"],
        "recipe": row["recipe"],
        "clean": "-" if clean is None else f"{clean:.1%}",
        "PGD": robust or "-",
        **weights(row),
    }


def weights(row: Mapping[str, Any]) -> Row:
    """Which weights there are: "yes", "no", "snapshots: 3"; "card changed" where they are not what the card says."""
    if row.get("changed") and row["trained"]:
        return {"weights": "card changed"}
    snapshots = [f"snapshots: {len(row['snapshots'])}"] if row["snapshots"] else []
    return {"weights": [*(["yes"] if row["trained"] else []), *snapshots] or "no"}
