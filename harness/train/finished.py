"""Whether a card's training is over, and whether its weights are still what it asks for."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import HarnessError, Unavailable
from harness.data.load import open_source
from harness.models import load_model
from harness.models.card import Card, file_sha256, weights_path


def is_finished(path: Path, card: Card) -> bool:
    """Whether all weights that the result of the card at `path` speaks of are there, those of its snapshots included.

    Raises:
        HarnessError: when those of the end are, and the card, its training data or its start are others now.
    """
    if not holds(weights_path(path), card.result.get("sha256")):
        return False
    check_card(path, card)
    check_start(path, card)
    return not lost_weights(path, card)


def lost_weights(path: Path, card: Card) -> list[Path]:
    """The files of weights that are not, or no longer, those of the card's result."""
    recorded: dict[int | None, str | None] = {None: card.result.get("sha256"), **dict.fromkeys(card.recipe.snapshots)}
    recorded |= zip(card.recipe.snapshots, card.result.get("snapshot_sha256", []), strict=False)
    files = {weights_path(path, epoch): sha256 for epoch, sha256 in recorded.items()}
    return [file for file, sha256 in files.items() if not holds(file, sha256)]


def holds(file: Path, sha256: str | None) -> bool:
    """Whether a file is there and is the one that was written."""
    return file.is_file() and file_sha256(file) == sha256


def check_card(path: Path, card: Card) -> None:
    """Raise HarnessError when a card was changed after it was trained."""
    if card.changed or has_other_data(card):
        raise HarnessError(
            f"{path} was changed after it was trained.\n     undo the change, or train it anew with --force"
        )


def has_other_data(card: Card) -> bool:
    """Whether the training data are called otherwise than in the result of a card that kept nothing else of them."""
    if "asked_data" in card.result or "train_data" not in card.result:
        return False
    try:
        return open_source(card.train_data.id, card.train_data.arguments).name != str(card.result["train_data"])
    except HarnessError:
        # Nobody can tell without the files, and nothing will be trained.
        return False


def check_start(path: Path, card: Card) -> None:
    """Raise HarnessError when the model that a training started from has other weights now.

    Nothing is known of cards that did not keep its fingerprint, and without its weights.
    """
    recorded = card.result.get("start_fingerprint")
    if card.start is None or recorded is None:
        return
    try:
        start = load_model(card.start)
    except Unavailable:
        return
    if start.fingerprint != recorded:
        raise HarnessError(
            f"{path}: {card.start} has other weights than those that training started from.\n"
            "     restore them, or train the card anew with --force"
        )
