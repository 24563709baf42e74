"""`harness list models`: what rows say, and how they fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.commands import zoo
from harness.models.card import read_card

SHIPPED = Path(__file__).resolve().parents[2] / "model_zoo"

CARD = """\
summary = "s"
[architecture]
network = "vgg6"
activation = "selu"
[train_data]
id = "digits"
split = "train"
[test_data]
id = "digits"
[recipe]
epochs = 3
learning_rate = 0.1
snapshots = [1, 2]
"""

RESULT = """
[result]
clean_accuracy = 0.8551
robust_threats = ["L2 0.25", "L∞ 1/255"]
robust_accuracies = [0.5, 0.25]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a card, and weights after some epochs; "end" are the last ones."""

    def write(text: str = CARD, *weights: str) -> Path:
        path = tmp_path / "small.toml"
        path.write_text(text)
        for epoch in weights:
            (tmp_path / ("small.safetensors" if epoch == "end" else f"small@epoch{epoch}.safetensors")).touch()
        return path

    return write


def cells(path: Path) -> dict[str, Any]:
    return zoo.printed({"name": "zoo:small", **zoo.model(path)})


def test_a_row_says_what_the_card_says(write: Callable[..., Path]) -> None:
    assert cells(write(CARD + RESULT)) == {
        "name": "zoo:small", "network/width": "vgg6/16, selu", "norm": "bn", "data": "digits",
        "recipe": "standard, 3 epochs", "clean": "85.5%", "PGD": ["50.0% L2 0.25", "25.0% L∞ 1/255"], "weights": "no",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "text"),
    [([], "no"), (["end"], ["yes"]), (["1"], ["snapshots: 1"]), (["1", "2", "end"], ["yes", "snapshots: 2"])],
)
def test_weights_are_those_that_are_there(weights: list[str], text: Any, write: Callable[..., Path]) -> None:
    assert cells(write(CARD, *weights))["weights"] == text


def test_weights_that_are_not_what_the_card_says_are_told_apart(write: Callable[..., Path]) -> None:
    asked = read_card(write()).asked
    finished = f'{CARD}{RESULT}asked = "{asked}"\n'
    assert cells(write(finished, "end"))["weights"] == ["yes"]
    assert cells(write(finished.replace("epochs = 3", "epochs = 4"), "end"))["weights"] == "card changed"


def test_what_was_not_measured_is_a_dash(write: Callable[..., Path]) -> None:
    found = cells(write())
    assert (found["clean"], found["PGD"]) == ("-", "-")


def test_a_card_that_cannot_be_read_says_so_in_a_row_like_all_others(write: Callable[..., Path]) -> None:
    sound = cells(write())
    broken = cells(write("summary = "))
    assert list(broken) == list(sound)
    assert "cannot be read as TOML" in broken["recipe"]


def test_a_network_that_does_not_exist_has_no_width(write: Callable[..., Path]) -> None:
    assert cells(write(CARD.replace("vgg6", "vgg7")))["network/width"] == "vgg7, selu"


def test_a_row_holds_the_whole_card(write: Callable[..., Path]) -> None:
    path = write()
    shutil.copy(SHIPPED / "digits-vgg6-bn.toml", path)
    row = zoo.model(path)
    assert row["card"]["result"] == read_card(path).result
    assert {"sha256", "train_fingerprint", "seconds", "device", "epochs"} <= set(row["card"]["result"])
    assert (row["file"], row["width"], row["card"]["seed"]) == (str(path), 16, 0)
