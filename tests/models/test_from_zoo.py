"""`zoo:`: cards, their weights, and the network of `@none`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from harness.core.errors import HarnessError
from harness.models import load_model
from harness.models.card import file_sha256, read_card, write_result
from harness.models.from_zoo import build, build_network

CARD = """
summary = "a small network"
seed = 3
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
[architecture]
network = "resnet8"
norm = "gn"
width = 4
[train_data]
id = "digits"
[test_data]
id = "digits"
[recipe]
epochs = 1
learning_rate = 0.1
"""


@pytest.fixture
def card_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The card of a model "small" that is not trained yet."""
    monkeypatch.setenv("HARNESS_ZOO", str(tmp_path / "zoo"))
    (tmp_path / "zoo").mkdir()
    path = tmp_path / "zoo" / "small.toml"
    path.write_text(CARD)
    return path


def _finish(card_path: Path, state: dict[str, Tensor]) -> None:
    weights = card_path.with_suffix(".safetensors")
    save_file(state, weights)
    asked = read_card(card_path).asked
    write_result(card_path, {"sha256": file_sha256(weights), "clean_accuracy": 0.5, "asked": asked})


def test_a_trained_model_has_the_weights_of_its_file_and_its_cards_standardization(card_path: Path) -> None:
    network = build_network(read_card(card_path)).eval()
    with torch.no_grad():
        network.logits.weight.fill_(0.5)  # type: ignore[union-attr, operator]
    _finish(card_path, network.state_dict())
    model = load_model("zoo:small")
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(images), network((images - 0.5) / 0.25))
    assert model.provenance.id == "zoo:small"
    assert not model.provenance.random_weights
    assert model.provenance.details["weights_file"] == "small.safetensors"
    assert model.provenance.details["weights_sha256"] == file_sha256(card_path.with_suffix(".safetensors"))
    assert model.census.family == "gn"


def test_a_model_without_weights_says_how_to_train_it(card_path: Path) -> None:
    with pytest.raises(HarnessError, match="harness train small"):
        load_model("zoo:small")


def test_weights_other_than_those_of_the_card_are_refused(card_path: Path) -> None:
    _finish(card_path, build_network(read_card(card_path)).state_dict())
    weights = card_path.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(HarnessError, match="not the file that the card was written for"):
        load_model("zoo:small")


def test_weights_of_a_card_that_was_changed_since_are_refused(card_path: Path) -> None:
    _finish(card_path, build_network(read_card(card_path)).state_dict())
    load_model("zoo:small")
    finished = card_path.read_text()
    for old, new in (("mean = [0.5, ", "mean = [0.6, "), ("asked = ", "# asked = ")):
        assert old in finished
        card_path.write_text(finished.replace(old, new))
        with pytest.raises(HarnessError, match="the card was changed after it was trained"):
            load_model("zoo:small")


def test_weights_of_a_training_that_did_not_end_are_refused(card_path: Path) -> None:
    save_file(build_network(read_card(card_path)).state_dict(), card_path.with_suffix(".safetensors"))
    with pytest.raises(HarnessError, match="did not end"):
        load_model("zoo:small")


def test_weights_of_another_network_are_refused_though_the_hash_is_right(card_path: Path) -> None:
    _finish(card_path, {"conv.weight": torch.zeros(4, 3, 3, 3)})
    with pytest.raises(HarnessError, match="the file lacks"):
        load_model("zoo:small")


def test_none_gives_the_untrained_network_of_the_cards_seed_and_marks_it(card_path: Path) -> None:
    model = load_model("zoo:small@none")
    assert model.provenance.random_weights
    assert model.fingerprint == load_model("zoo:small@none").fingerprint
    assert model.fingerprint == build(read_card(card_path), "small").fingerprint
    card_path.write_text(CARD.replace("seed = 3", "seed = 4"))
    assert model.fingerprint != load_model("zoo:small@none").fingerprint


def test_keys_that_a_card_leaves_out_are_the_networks_own(card_path: Path) -> None:
    card_path.write_text(CARD.replace('"resnet8"', '"wrn28"').replace("width = 4\n", ""))
    with torch.device("meta"):
        network = build_network(read_card(card_path))
    assert network.get_submodule("logits").in_features == 640


def test_a_cards_activation_and_shortcut_shape_its_network(card_path: Path) -> None:
    plain = build_network(read_card(card_path))
    card_path.write_text(CARD.replace("width = 4", 'width = 4\nactivation = "selu"\nshortcut = false'))
    other = build_network(read_card(card_path))
    assert "SELU" in repr(other)
    assert any("shortcut" in name for name in plain.state_dict())
    assert not any("shortcut" in name for name in other.state_dict())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("shortcut = false", "known: activation, channels, classes, norm, width"),
        ('activation = "rely"', "did you mean: relu"),
        ('norm = "fixup"', "ResNets"),
    ],
)
def test_a_key_that_the_network_does_not_understand_is_refused(line: str, message: str, card_path: Path) -> None:
    text = CARD.replace('"resnet8"', '"vgg16"').replace('norm = "gn"\n', "")
    card_path.write_text(text.replace("width = 4", f"width = 4\n{line}"))
    with pytest.raises(HarnessError, match=message):
        load_model("zoo:small@none")


def test_building_a_network_leaves_the_global_generator_alone(card_path: Path) -> None:
    before = torch.get_rng_state()
    load_model("zoo:small@none")
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_name_is_refused_with_the_nearest_one(card_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"did you mean: small\?"):
        load_model("zoo:smal")


def test_other_weights_than_none_cannot_be_asked_for(card_path: Path) -> None:
    with pytest.raises(HarnessError, match="zoo:small@none"):
        load_model("zoo:small@best")


def test_an_id_without_a_source_is_met_with_the_zoo_model_of_that_name(card_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"did you mean: zoo:small\?"):
        load_model("small")
