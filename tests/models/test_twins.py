"""Networks of torchvision and timm that exist with BatchNorm and without."""

from __future__ import annotations

import pytest

from harness.core.errors import HarnessError
from harness.models.from_timm import _config
from harness.models.from_torchvision import _member
from harness.models.twins import Twin, architectures, find_twins, without_norm

RESNETS = ["torchvision:resnet50", "timm:resnet50", "timm:resnet50_gn", "timm:nf_resnet50"]


@pytest.fixture(scope="module")
def resnets() -> list[Twin]:
    return find_twins([*RESNETS, "timm:resnet26"])


def test_all_classifiers_of_both_libraries_are_looked_at() -> None:
    assert {*RESNETS, "torchvision:vgg19_bn", "timm:vgg19_bn"} <= set(architectures())
    assert "torchvision:fcn_resnet50" not in architectures()


def test_twins_are_found_across_libraries_and_told_apart_by_their_census(resnets: list[Twin]) -> None:
    assert {twin.id: twin.census.family for twin in resnets} == dict(
        zip(RESNETS, ["bn", "bn", "gn", "none"], strict=True)
    )
    assert {twin.group for twin in resnets} == {"resnet50"}
    # BatchNorm and GroupNorm have a scale and a shift per channel.
    assert len({twin.parameters for twin in resnets if twin.census.family != "none"}) == 1


@pytest.mark.parametrize("depth", [11, 19])
def test_vggs_are_twins_of_each_other_whether_their_classifier_is_linear_or_convolutional(depth: int) -> None:
    ids = [f"{source}:vgg{depth}{bn}" for source in ("torchvision", "timm") for bn in ("", "_bn")]
    assert {twin.id: twin.census.family for twin in find_twins(ids)} == {
        id: "bn" if id.endswith("_bn") else "none" for id in ids
    }


@pytest.mark.parametrize(
    "ids",
    [
        ["timm:resnet26"],  # nothing to compare it with
        ["timm:vgg11", "torchvision:vgg11"],  # one name
        ["timm:efficientnet_b3", "timm:efficientnet_b3_gn"],  # other layers
        ["timm:convnext_atto", "timm:convnext_atto_rms"],  # neither has BatchNorm
    ],
)
def test_what_differs_in_more_than_batch_norm_is_no_twin(ids: list[str]) -> None:
    assert find_twins(ids) == []


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("vgg16_bn", "vgg16"),
        ("nf_resnet50", "resnet50"),
        ("coatnet_bn_0_rw_224", "coatnet_0_rw_224"),
        ("inception", "inception"),
    ],
)
def test_norm_words_are_whole_words(name: str, without: str) -> None:
    assert without_norm(name) == without


def test_weights_are_named_by_ids_that_can_be_loaded(resnets: list[Twin]) -> None:
    weights = {twin.id: twin.weights for twin in resnets}
    assert "torchvision:resnet50@IMAGENET1K_V1" in weights["torchvision:resnet50"]
    assert weights["timm:resnet50_gn"] == ("timm:resnet50_gn.a1h_in1k",)
    for id in (id for ids in weights.values() for id in ids):
        source, _, name = id.partition(":")
        assert _config(name).has_weights if source == "timm" else _member(*name.split("@"))


def test_weights_without_a_classifier_and_networks_without_weights_have_none() -> None:
    weights = {
        twin.id: twin.weights
        for twin in find_twins(["torchvision:vgg16", "timm:vgg16_bn", "timm:resnet26", "timm:nf_resnet26"])
    }
    assert weights["torchvision:vgg16"] == ("torchvision:vgg16@IMAGENET1K_V1",)
    assert weights["timm:nf_resnet26"] == ()


def test_an_unknown_network_is_an_error() -> None:
    with pytest.raises(HarnessError, match='timm has no model "vgg16_gn"'):
        find_twins(["timm:vgg16", "timm:vgg16_gn"])
