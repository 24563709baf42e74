"""Data sets of robust and non-robust features, as `harness extract` made them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.cards import file_sha256, find_card
from harness.core.errors import HarnessError, in_one_line
from harness.data import DATASETS, Array, Source
from harness.data.feature_card import feature_cards, features_file, read_feature_card


@DATASETS.register("features")
def features(name: str) -> Source:
    """A set of robust or non-robust features, extracted from a network by `harness extract`.

    Args:
        name: the set's name, as `harness list features` prints it, or its card's file.

    Raises:
        HarnessError: for an unknown name, a set that is not extracted yet, a card that was changed since, and a file
            that is not the one that the card was written for.
    """
    path = find_card(name, feature_cards(), "feature set")
    file = _verified(path)
    contents = _contents(file)

    def read(indices: npt.NDArray[np.int64]) -> Array:
        from safetensors import safe_open

        low, high = int(indices.min()), int(indices.max()) + 1
        with safe_open(file, framework="numpy") as opened:
            images: Array = opened.get_slice("images")[low:high][indices - low].astype(np.float32)
        return images

    return Source(path.stem, contents.labels, contents.classes, read, origin=contents.origin(path))


class _Contents(NamedTuple):
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    starts: npt.NDArray[np.int64]

    def origin(self, path: Path) -> str:
        """Whatever networks saw in them: sha256 over the source, and the start and label of every image."""
        digest = hashlib.sha256(str(read_feature_card(path).result.get("source_fingerprint")).encode())
        for array in (self.starts, self.labels):
            digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
        return digest.hexdigest()


def _verified(path: Path) -> Path:
    """The file of a card, once it is known to be the one that the card speaks of."""
    card, file = read_feature_card(path), features_file(path)
    if "sha256" not in card.result or not file.is_file():
        raise HarnessError(f"the feature set {path.stem} is not there ({file}).\n     harness extract {path.stem}")
    if card.result.get("question") != card.question:
        raise HarnessError(f"{path} was changed after its set was extracted.\n     harness extract {path.stem}")
    found = file_sha256(file)
    if found != card.result["sha256"]:
        raise HarnessError(
            f"{file} is not the file that {path} was written for:\n"
            f"     its sha256 is {found}, the card says {card.result['sha256']}.\n"
            f"     restore the file, or extract it anew: harness extract {path.stem}"
        )
    return file


def _contents(file: Path) -> _Contents:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            classes = json.loads(opened.metadata()["harness"])["classes"]
            return _Contents(opened.get_tensor("labels"), tuple(classes), opened.get_tensor("starts"))
    except (SafetensorError, OSError) as error:
        raise HarnessError(f"{file} cannot be read: {in_one_line(error)}") from None
