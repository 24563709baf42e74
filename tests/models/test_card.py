"""Model cards: what people write above `[result]` stays, and the shipped ones say the truth."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.core.cards import cards_in
from harness.core.errors import HarnessError
from harness.data.digits import digits
from harness.data.feature_card import feature_cards
from harness.data.load import resolve_arguments
from harness.models import load_model
from harness.models.card import file_sha256, read_card, weights_path, write_result, zoo_cards
from harness.models.networks import NETWORKS
from harness.train.changes import parameters_of

WALTER = [
    "normal", "normal-bn-only", "normal-bn-only-log-conv1", "adv", "adv-bn-only", "adv-bn-only-log-conv1",
    "bn-stats-no-reset", "bn-stats-reset", "bn-only-params", "bn-params", "bn-params-log-conv1",
]  # fmt: skip
SHIPPED = Path(__file__).resolve().parents[2] / "model_zoo"
CARDS = cards_in([SHIPPED])
NAMES = sorted(CARDS)

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


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("mean = [0.5, 0.5]", "mean has 2 numbers; write one, or one for each of 3 channels"),
        ("std = []", "std has 0 numbers"),
        ("std = [0.0]", r"std\[0\]: input should be greater than 0"),
        ("seed = 99999999999999999999", "seed: input should be less than or equal to"),
        ('seed = "1"', "seed: input should be a valid integer"),
        ('robustness = [{ norm = "l1", epsilon = 1.0 }]', "robustness.*: input should be 'linf' or 'l2'"),
    ],
)
def test_what_no_network_could_be_trained_or_measured_with_is_refused(line: str, mistake: str, card: Path) -> None:
    card.write_text(f"{line}\n{CARD}")
    with pytest.raises(HarnessError, match=mistake):
        read_card(card)


@pytest.mark.parametrize(
    ("line", "changed"),
    [("", False), ("# said", False), ("seed = 0", False), ("robustness = []", False), ("seed = 1", True),
     ("mean = [0.5]", True), ('weights = "float16"', True), ('start = "zoo:other"', True)],
)  # fmt: skip
def test_a_card_knows_whether_it_was_changed_after_it_was_trained(line: str, changed: bool, card: Path) -> None:
    write_result(card, {"asked": read_card(card).asked})
    card.write_text(f"{line}\n{card.read_text()}")
    assert read_card(card).changed == changed


def test_a_result_that_does_not_tell_what_was_asked_may_be_of_another_card(card: Path) -> None:
    assert not read_card(card).changed
    write_result(card, {"epochs": 1})
    assert read_card(card).changed


@pytest.mark.parametrize(
    ("split", "changed"),
    [('split = "test"', True), ('split = "train"\nroot = "/elsewhere"', False), ('split = "train"  # said', False)],
)
def test_other_training_data_change_a_card_and_their_place_does_not(split: str, changed: bool, card: Path) -> None:
    read = read_card(card)
    write_result(card, {"asked": read.asked, "asked_data": read.asked_data})
    card.write_text(card.read_text().replace('split = "train"', split))
    assert read_card(card).asked == read.asked
    assert read_card(card).changed == changed


@pytest.mark.parametrize(
    ("changes", "kept"),
    [('parameters = ["norm"]', False), ("parameters = []", False), ('statistics = "frozen"', False), ("", True)],
)
def test_half_precision_must_not_round_what_stays_as_the_start_has_it(changes: str, kept: bool, card: Path) -> None:
    card.write_text(f'weights = "float16"\n{CARD}[recipe.changes]\n{changes}\n')
    read_card(card)
    card.write_text(f'start = "zoo:other"\n{card.read_text()}')
    if kept:
        read_card(card)
        return
    with pytest.raises(HarnessError, match='"float16" would round what recipe.changes leaves .* write "float32"'):
        read_card(card)


@pytest.mark.parametrize("content", [b"summary = ", b"\xff", None])
def test_a_card_that_cannot_be_read_is_named(content: bytes | None, card: Path) -> None:
    card.unlink()
    if content is not None:
        card.write_bytes(content)
    with pytest.raises(HarnessError, match=r"small\.toml cannot be read as TOML: "):
        read_card(card)


def test_a_card_extends_another_key_by_key_and_replaces_its_data(card: Path) -> None:
    write_result(card, {"sha256": "ab", "clean_accuracy": 0.5})
    child = card.with_name("child.toml")
    child.write_text(
        'extend = "small.toml"\nsummary = "c"\nseed = 3\n[architecture]\nnorm = "gn"\n[recipe]\nepochs = 2\n'
        '[train_data]\nid = "features"\nname = "some"\n'
    )
    read = read_card(child)
    assert (read.architecture.network, read.architecture.norm, read.seed) == ("vgg6", "gn", 3)
    assert (read.recipe.epochs, read.recipe.learning_rate) == (2, 0.1)
    assert (read.train_data.id, read.train_data.arguments) == ("features", {"name": "some"})
    assert read.test_data.id == "digits"
    assert (read.summary, read.result) == ("c", {})


def test_a_card_does_not_inherit_what_the_other_one_is_called(card: Path) -> None:
    child = card.with_name("child.toml")
    child.write_text('extend = "small.toml"')
    with pytest.raises(HarnessError, match="summary: this key is required"):
        read_card(child)


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
    card, path = read_card(CARDS[name]), CARDS[name]
    weights: dict[int | None, str | None] = {None: card.result.get("sha256")}
    weights.update(zip(card.recipe.snapshots, card.result.get("snapshot_sha256", []), strict=False))
    if not card.result:
        assert not any(weights_path(path, epoch).exists() for epoch in weights), "weights that nobody speaks of"
        return
    assert weights == {epoch: file_sha256(weights_path(path, epoch)) for epoch in (None, *card.recipe.snapshots)}
    assert card.result["epochs"] == card.recipe.epochs
    assert not card.changed


@cache
def on_meta(**architecture: Any) -> nn.Module:
    """A network without memory for its weights."""
    with torch.device("meta"):
        return NETWORKS.get(architecture.pop("network"))(**architecture)


def test_no_two_shipped_cards_have_one_name_or_train_one_network() -> None:
    assert len(list(SHIPPED.rglob("*.toml"))) == len(CARDS)
    asked = [read_card(path).model_dump_json(exclude={"summary", "result"}) for path in CARDS.values()]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_card_can_be_trained_as_far_as_one_can_tell_without_training(name: str) -> None:
    card = read_card(CARDS[name])
    shape = card.architecture
    network = on_meta(**shape.model_dump(exclude_none=True))
    assert all(parameters_of(network, part) for part in card.recipe.changes.parameters)
    assert {len(card.mean), len(card.std)} <= {1, shape.channels}
    for keys in (card.train_data, card.test_data):
        resolve_arguments(keys.id, keys.arguments)
        assert keys.id != "features" or keys.arguments["name"] in feature_cards()
    if card.start:
        assert read_card(CARDS[card.start.removeprefix("zoo:")]).architecture == shape


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-fast")])
def test_weights_of_a_fast_card_are_small_enough_to_be_shipped(name: str) -> None:
    card = read_card(CARDS[name])
    network = on_meta(**card.architecture.model_dump(exclude_none=True))
    numbers = sum(tensor.numel() for tensor in network.state_dict().values())
    assert numbers * {"float32": 4, "float16": 2}[card.weights] <= 3e6


def test_the_configurations_of_walter2022_change_what_its_table_1_says() -> None:
    def changes(name: str) -> tuple[Any, ...]:
        card = read_card(CARDS[f"walter2022-{name}"])
        recipe = card.recipe
        attacked = recipe.adversarial is not None
        return card.start, attacked, recipe.autoaugment, recipe.changes.parameters, recipe.changes.statistics

    some, all_, normal = ("norm", "logits", "conv1"), ("all",), "zoo:walter2022-normal"
    assert {name: changes(name) for name in WALTER} == {
        "normal": (None, False, True, all_, "update"),
        "normal-bn-only": (None, False, True, ("norm",), "update"),
        "normal-bn-only-log-conv1": (None, False, True, some, "update"),
        "adv": (None, True, False, all_, "update"),
        "adv-bn-only": (None, True, False, ("norm",), "update"),
        "adv-bn-only-log-conv1": (None, True, False, some, "update"),
        "bn-stats-no-reset": (normal, True, False, (), "update"),
        "bn-stats-reset": (normal, True, False, (), "reset"),
        "bn-only-params": (normal, True, False, ("norm",), "frozen"),
        "bn-params": (normal, True, False, ("norm",), "update"),
        "bn-params-log-conv1": (normal, True, False, some, "update"),
    }


def test_the_full_resnet18s_of_figures_3_and_11_of_benz2021_keep_snapshots_to_their_end() -> None:
    figures = {"bn", "none", "in", "ln", "gn", "bn-adv", "none-adv"}
    constructed = {f"{norm}-d-{which}" for norm in ("bn", "none") for which in ("r", "nr", "rand", "det", "conflict")}
    full = {name.removeprefix("benz2021-"): read_card(CARDS[name]).recipe for name in NAMES if "benz2021-" in name}
    kept = {name for name, recipe in full.items() if recipe.snapshots and not name.endswith("-fast")}
    assert kept - {f"resnet18-{name}" for name in constructed} == {f"resnet18-{name}" for name in figures}
    for name in figures:
        recipe = full[f"resnet18-{name}"]
        assert recipe.snapshots == (*range(1, 21), *range(25, recipe.epochs + 1, 5))
        assert recipe.snapshots[-1] == recipe.epochs


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("digits-")])
def test_a_shipped_model_of_digits_is_as_accurate_as_its_card_says(name: str) -> None:
    card, model = read_card(CARDS[name]), load_model(f"zoo:{name}")
    source = digits("test")
    pixels = torch.from_numpy(source.read(torch.arange(len(source.labels)).numpy()))
    with torch.no_grad():
        predictions = model(pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels).argmax(1).numpy()
    correct = int((predictions == source.labels).sum())
    assert len(source.labels) == card.result["test_images"]
    # One image for a tie that another processor breaks the other way.
    assert abs(correct - card.result["clean_accuracy"] * len(source.labels)) <= 1 + 1e-6
