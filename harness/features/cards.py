"""Cards of feature sets before anything is computed: which ones, whether they are done, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.core.cards import check_folder, file_sha256, find_card
from harness.core.errors import HarnessError
from harness.data import Dataset
from harness.data.feature_card import FeatureCard, feature_cards, features_file, features_folder, read_feature_card
from harness.data.load import load_dataset

MADE_OF = ("question", "source_fingerprint", "model_fingerprint")
"""Keys of a result that tell what a set was made of."""


def chosen_sets(names: Sequence[str]) -> list[str]:
    """The feature sets that names, cards' files and patterns such as "cifar10-*" mean, each once.

    Raises:
        HarnessError: for a name that is none, or a pattern that fits none.
    """
    known, chosen = feature_cards(), dict[str, None]()
    for name in names:
        if found := [one for one in known if "*" in name and fnmatchcase(one, name)]:
            chosen |= dict.fromkeys(found)
        else:
            find_card(name, known, "feature set")
            chosen[name] = None
    return list(chosen)


def is_finished(path: Path, card: FeatureCard, described: Mapping[str, Any]) -> bool:
    """Whether the store holds the set that the card speaks of, made of what it would be made of now.

    `described` is what a result would say of the card, its source and its network; what this one lacks is not asked.
    """
    file, result = features_file(path), card.result
    same = all(result.get(key, described[key]) == described[key] for key in MADE_OF)
    return "question" in result and same and file.is_file() and file_sha256(file) == result.get("sha256")


def check_writable(path: Path, *, card_too: bool) -> None:
    """Raise HarnessError, before anything is computed, when the store or the card's folder takes no files."""
    check_folder(features_folder(), "name another store with HARNESS_STORE")
    if card_too:
        check_folder(path.parent, "copy the card to ./feature_sets and extract it there")


def check_sources(path: Path, card: FeatureCard) -> None:
    """Raise HarnessError when a feature set is made of sets that are made of it."""
    known, chain = feature_cards(), [path]
    while card.source.id == "features" and "name" in card.source.arguments:
        chain.append(find_card(str(card.source.arguments["name"]), known, "feature set"))
        if chain[-1] in chain[:-1]:
            raise HarnessError(f"a set cannot be made of itself: {' -> '.join(part.stem for part in reversed(chain))}")
        card = read_feature_card(chain[-1])


def load_source(card: FeatureCard) -> Dataset:
    """The images that a set is made of. Raises HarnessError naming the table."""
    keys = card.source
    try:
        return load_dataset(keys.id, keys.arguments, keys.samples, keys.indices)
    except HarnessError as error:
        raise HarnessError(f"source: {error}") from None
