"""`load_model`: ids, sources, and the keys that a source takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.core.errors import HarnessError
from harness.core.registry import first_line
from harness.models import MODEL_SOURCES, load_model


def test_every_source_is_found_by_scanning() -> None:
    assert MODEL_SOURCES.names() == ["ensemble", "file", "hf-hub", "python", "timm", "torchvision", "zoo"]


@pytest.mark.parametrize("name", MODEL_SOURCES.names())
def test_a_source_says_in_its_first_line_how_its_ids_look(name: str) -> None:
    assert first_line(MODEL_SOURCES.get(name)).startswith(f"{name}:")


def test_an_id_without_a_source_is_refused_with_the_list_of_sources() -> None:
    with pytest.raises(HarnessError, match='model "resnet18" names no source') as caught:
        load_model("resnet18")
    assert all(f"{name}:" in str(caught.value) for name in MODEL_SOURCES.names())


def test_a_misspelt_source_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(HarnessError, match=r"did you mean: torchvision\?"):
        load_model("torchvison:resnet18@none")


def test_an_id_without_a_name_says_how_to_write_one() -> None:
    with pytest.raises(HarnessError, match="write timm:MODEL.TAG"):
        load_model("timm:")


def test_a_key_that_the_source_does_not_take_is_refused() -> None:
    with pytest.raises(HarnessError, match="does not take architecture") as caught:
        load_model("torchvision:resnet18@none", architecture="resnet20")
    assert "it takes: arguments, mean, std, input_size" in str(caught.value)
    with pytest.raises(HarnessError, match="it takes: nothing but the id"):
        load_model("zoo:anything", mean=[0.5], std=[0.5])


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5], None, "together"),
        ([0.5, 0.5], [0.5], "one per channel"),
        ([0.5], [0.0], "greater than 0"),
    ],
)
def test_a_wrong_standardization_is_refused(mean: list[float], std: list[float] | None, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_model("torchvision:resnet18@none", mean=mean, std=std)


@pytest.mark.parametrize("size", [[32], [32, 0], [32.0, 32.0]])
def test_a_wrong_input_size_is_refused(size: list[int]) -> None:
    with pytest.raises(HarnessError, match="input_size must be"):
        load_model("torchvision:resnet18@none", input_size=size)


def test_cards_can_be_read_without_importing_torch() -> None:
    code = "import sys, harness.models, harness.models.card; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True)
