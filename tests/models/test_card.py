"""Model cards: what people write above `[result]` stays, and the shipped ones say the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.core.errors import HarnessError
from harness.data.digits import digits
from harness.models import load_model
from harness.models.card import file_sha256, read_card, weights_path, write_result, zoo_cards

SHIPPED = Path(__file__).resolve().parents[2] / "model_zoo"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))

CARD = """\
# above
summary = "s"
[architecture]
network = "vgg6"
[train_data]
id = "digits"
split = "train"
[test_data]
id = "digits"
[recipe]
epochs = 1
learning_rate = 0.1  # beside
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CARD)
    return path


def test_a_card_is_read_with_its_defaults_and_the_keys_of_its_data(card: Path) -> None:
    read = read_card(card)
    assert (read.architecture.network, read.architecture.norm, read.architecture.channels) == ("vgg6", "bn", 3)
    assert (read.train_data.id, read.train_data.arguments) == ("digits", {"split": "train"})
    assert (read.recipe.schedule, read.recipe.gradient_clip) == ("one-cycle", None)
    assert (read.mean, read.std, read.seed, read.result) == ((0.0,), (1.0,), 0, {})


def test_a_result_is_read_back_as_it_was_written_below_what_people_wrote(card: Path) -> None:
    result = {"sha256": "ab", "clean_accuracy": 0.1 + 0.2, "epochs": 3, "losses": [1e-07, 2.5], "device": 'a "GPU"'}
    write_result(card, result)
    assert card.read_text().startswith(CARD)
    assert read_card(card).result == result


@pytest.mark.parametrize(
    "below",
    [
        "\n# Written by `harness train`; not meant to be edited.\n[result]\nepochs = 1\n",
        "[result]\nepochs = 1\n",
        "\n\n\n[result]\nepochs = 1\n",
    ],
)
def test_an_old_result_is_replaced_even_if_the_comment_above_it_was_removed(below: str, card: Path) -> None:
    card.write_text(CARD + below)
    write_result(card, {"epochs": 2})
    once = card.read_text()
    assert once.startswith(CARD)
    assert read_card(card).result == {"epochs": 2}
    write_result(card, {"epochs": 2})
    assert card.read_text() == once


def test_a_comment_that_mentions_the_result_is_no_result(card: Path) -> None:
    card.write_text("# the table [result] is written below\n" + CARD)
    write_result(card, {"epochs": 2})
    assert card.read_text().startswith("# the table [result] is written below\n" + CARD)


def test_every_mistake_of_a_card_is_told_at_once(card: Path) -> None:
    card.write_text(CARD.replace("epochs = 1", "epochs = 0").replace('network = "vgg6"', "width = 0"))
    with pytest.raises(HarnessError) as raised:
        read_card(card)
    assert f"{card}: 3 mistakes, the card cannot be used" in str(raised.value)
    for mistake in ("architecture.network: this key is required", "architecture.width: input", "recipe.epochs: input"):
        assert mistake in str(raised.value)


@pytest.mark.parametrize("content", [b"summary = ", b"\xff", None])
def test_a_card_that_cannot_be_read_is_named(content: bytes | None, card: Path) -> None:
    card.unlink()
    if content is not None:
        card.write_bytes(content)
    with pytest.raises(HarnessError, match=r"small\.toml cannot be read as TOML: "):
        read_card(card)


def test_a_zoo_that_is_named_comes_before_the_shipped_one(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(card.parent))
    card.rename(card.with_name("digits-vgg6-bn.toml"))
    assert zoo_cards()["digits-vgg6-bn"] == card.with_name("digits-vgg6-bn.toml")
    assert zoo_cards()["digits-vgg6-none"] == SHIPPED / "digits-vgg6-none.toml"


# --- the shipped zoo --------------------------------------------------------------------------------------------


def test_models_are_shipped() -> None:
    assert len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_card_has_the_weights_that_it_speaks_of(name: str) -> None:
    card, path = read_card(SHIPPED / f"{name}.toml"), SHIPPED / f"{name}.toml"
    weights: dict[int | None, str | None] = {None: card.result.get("sha256")}
    weights.update(zip(card.recipe.snapshots, card.result.get("snapshot_sha256", []), strict=False))
    if not card.result:
        assert not any(weights_path(path, epoch).exists() for epoch in weights), "weights that nobody speaks of"
        return
    assert weights == {epoch: file_sha256(weights_path(path, epoch)) for epoch in (None, *card.recipe.snapshots)}
    assert card.result["epochs"] == card.recipe.epochs


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("digits-")])
def test_a_shipped_model_of_digits_is_as_accurate_as_its_card_says(name: str) -> None:
    card, model = read_card(SHIPPED / f"{name}.toml"), load_model(f"zoo:{name}")
    source = digits("test")
    pixels = torch.from_numpy(source.read(torch.arange(len(source.labels)).numpy()))
    with torch.no_grad():
        predictions = model(pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels).argmax(1).numpy()
    correct = int((predictions == source.labels).sum())
    assert len(source.labels) == card.result["test_images"]
    # One image for a tie that another processor breaks the other way.
    assert abs(correct - card.result["clean_accuracy"] * len(source.labels)) <= 1 + 1e-6
