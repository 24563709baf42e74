"""Feature sets as data sets: only what the card speaks of is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.core.cards import file_sha256, write_result
from harness.core.errors import HarnessError
from harness.data import take
from harness.data.feature_card import Descent, FeatureCard, SourceKeys, feature_cards, features_file, read_feature_card
from harness.data.features import features

CARD = """\
summary = "tiny"
kind = "det"
model = "zoo:digits-resnet8-bn"
[source]
id = "digits"
[descent]
epsilon = 0.5
steps = 1
step_size = 0.1
"""

IMAGES = (np.arange(40, dtype=np.float16) / 64).reshape(5, 2, 2, 2)

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "feature_sets").glob("*.toml"))


@pytest.fixture
def card(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The card of a set of five images that lies in the store."""
    monkeypatch.setenv("HARNESS_FEATURES", str(workplace))
    path = workplace / "tiny.toml"
    path.write_text(CARD)
    file = features_file(path)
    file.parent.mkdir(parents=True)
    tensors = {"images": IMAGES, "labels": np.array([1, 0, 2, 0, 1]), "starts": np.arange(5)}
    save_file(tensors, file, metadata={"harness": '{"classes": ["cat", "dog", "owl"]}'})
    write_result(path, {"sha256": file_sha256(file), "question": read_feature_card(path).question}, "extract")
    return path


@pytest.mark.parametrize("name", ["tiny", "tiny.toml"])
def test_images_labels_and_classes_are_read(card: Path, name: str) -> None:
    source = features(name)
    data = take(source, np.array([3, 1, 4]))
    assert data.images.dtype == np.float32
    assert np.array_equal(data.images, IMAGES[[3, 1, 4]])
    assert data.labels.tolist() == [0, 0, 1]
    assert (data.name, data.classes) == ("tiny", ("cat", "dog", "owl"))


def test_a_changed_file_is_refused(card: Path) -> None:
    file = features_file(card)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(HarnessError, match=r"is not the file that .*tiny.toml was written for(.|\n)*extract tiny"):
        features("tiny")


def test_a_missing_file_says_how_to_make_it(card: Path) -> None:
    features_file(card).unlink()
    with pytest.raises(HarnessError, match="the feature set tiny is not there .*\n     harness extract tiny"):
        features("tiny")


def test_a_set_without_result_says_how_to_make_it(card: Path) -> None:
    card.write_text(CARD)
    with pytest.raises(HarnessError, match="harness extract tiny"):
        features("tiny")


def test_a_card_that_was_changed_after_extraction_is_refused(card: Path) -> None:
    card.write_text(card.read_text().replace("steps = 1", "steps = 2"))
    with pytest.raises(HarnessError, match="was changed after its set was extracted"):
        features("tiny")


def test_another_summary_is_no_change(card: Path) -> None:
    card.write_text(card.read_text().replace('"tiny"', '"tiny, in other words"'))
    assert len(features("tiny").labels) == 5


def test_an_unknown_set_is_refused_with_suggestions(card: Path) -> None:
    with pytest.raises(HarnessError, match='there is no feature set "tinny".\n     did you mean: tiny'):
        features("tinny")


# --- the shipped cards ------------------------------------------------------------------------------------------


def test_the_five_sets_of_the_paper_are_shipped_with_fast_ones_beside_them() -> None:
    for name in ("d-r", "d-nr", "d-rand", "d-det", "d-conflict"):
        assert {f"cifar10-{name}", f"cifar10-{name}-fast"} <= feature_cards().keys()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_card_is_of_the_kind_that_its_name_says(path: Path) -> None:
    card = read_feature_card(path)
    named = path.stem.removeprefix("cifar10-").removeprefix("digits-").removesuffix("-fast").removeprefix("d-")
    assert card.kind == {"r": "match", "nr": "match"}.get(named, named)
    assert card.model.endswith("-pgd7") == (named == "r")
    assert (card.descent.epsilon is None) == (card.kind == "match")
    if card.kind == "conflict":
        assert card.source.arguments["name"] == path.stem.replace("d-conflict", "d-r")


@pytest.mark.parametrize("name", ["d-r", "d-nr"])
def test_the_papers_matching_takes_1000_steps_of_a_tenth(name: str) -> None:
    descent = read_feature_card(feature_cards()[f"cifar10-{name}"]).descent
    assert (descent.norm, descent.epsilon, descent.steps, descent.step_size) == ("l2", None, 1000, 0.1)


def test_every_key_of_a_card_is_documented() -> None:
    text = (SHIPPED[0].parents[1] / "docs" / "features.md").read_text(encoding="utf-8")
    keys = [key for table in (FeatureCard, SourceKeys, Descent) for key in table.model_fields]
    assert [key for key in keys if f"`{key}`" not in text and f"`[{key}]`" not in text] == []
