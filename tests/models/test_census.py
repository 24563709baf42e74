"""The norm census of networks from torch, torchvision, timm and of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d
from torchvision.transforms import Normalize

from harness.models.census import NormCensus, take_census
from harness.models.networks import NETWORKS
from harness.models.networks.norms import NORMS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", NormCensus(bn=20)),
        ("vgg11", NormCensus()),
        ("vgg11_bn", NormCensus(bn=8)),
        ("convnext_tiny", NormCensus(ln=23)),
        ("squeezenet1_1", NormCensus()),
    ],
)
def test_torchvision_networks_are_counted(name: str, expected: NormCensus) -> None:
    with torch.device("meta"):
        assert take_census(models.get_model(name, weights=None)) == expected


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("test_resnet", "bn"),
        ("test_byobnet", "bn"),  # BatchNormAct2d
        ("resnet50_gn", "gn"),
        ("test_efficientnet_gn", "gn"),  # GroupNormAct
        ("test_efficientnet_ln", "ln"),  # LayerNormAct2d
        ("test_convnext", "ln"),
        ("test_vit", "ln"),
        ("test_efficientnet_evos", "EvoNorm2dS0"),
        ("test_nfnet", "none"),
        ("nf_resnet50", "none"),
    ],
)
def test_timm_networks_have_the_family_that_they_are_known_for(name: str, family: str) -> None:
    with torch.device("meta"):
        assert take_census(timm.create_model(name)).family == family


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("none", NormCensus()),
        ("bn", NormCensus(bn=9)),
        ("in", NormCensus(in_=9)),
        ("ln", NormCensus(ln=9)),
        ("gn", NormCensus(gn=9)),
        ("rn", NormCensus(rn=9)),
    ],
)
def test_our_networks_have_the_norm_that_was_asked_for(norm: str, expected: NormCensus) -> None:
    with torch.device("meta"):
        assert take_census(NETWORKS.get("resnet8")(norm=norm)) == expected


@pytest.mark.parametrize(
    ("layer", "family"),
    [
        (nn.SyncBatchNorm(4), "bn"),
        (FrozenBatchNorm2d(4), "bn"),
        (nn.InstanceNorm2d(4), "in"),
        (nn.RMSNorm(4), "RMSNorm"),
        (timm.layers.norm.RmsNorm2d(4), "RmsNorm2d"),
        (timm.layers.grn.GlobalResponseNorm(4), "GlobalResponseNorm"),
        (nn.LocalResponseNorm(2), "LocalResponseNorm"),
        (nn.Dropout(), "none"),
        (Normalize([0.5], [0.5]), "none"),
        (spectral_norm(nn.Linear(4, 4)), "none"),
        (weight_norm(nn.Linear(4, 4)), "none"),
    ],
)
def test_single_layers_are_known(layer: nn.Module, family: str) -> None:
    assert take_census(layer).family == family


def test_a_block_named_after_its_norm_is_not_counted_again() -> None:
    class BatchNormReLU(nn.Sequential):
        pass

    assert take_census(BatchNormReLU(nn.BatchNorm2d(4), nn.ReLU())) == NormCensus(bn=1)


def test_a_network_named_after_the_norm_it_avoids_has_none() -> None:
    class BatchNormFreeNet(nn.Sequential):
        pass

    assert take_census(BatchNormFreeNet(nn.Conv2d(3, 4, 3))) == NormCensus()


def test_the_family_is_that_of_most_layers() -> None:
    assert take_census(nn.Sequential(nn.BatchNorm2d(2), nn.GroupNorm(1, 2), nn.GroupNorm(1, 2))).family == "gn"


class Halved(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


@pytest.mark.parametrize("make", [lambda channels: Halved(), lambda channels: nn.Sequential(nn.BatchNorm2d(channels))])
def test_a_norm_that_is_registered_under_a_new_name_is_known_by_it(
    make: Callable[[int], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NORMS, "halved", make)
    census = take_census(NETWORKS.get("resnet8")(norm="halved"))
    assert (census.family, census.layers) == ("halved", {"halved": 9})


def test_a_layer_of_ones_own_says_what_it_is() -> None:
    class Centred(nn.Conv2d):
        norm_family = "centred"

    assert take_census(nn.Sequential(Centred(2, 2, 1))).layers == {"centred": 1}


class NormedLinear(nn.Linear):
    """A head that compares directions (cosines)."""


class NormedConv2d(nn.Conv2d):
    """A convolution with weights of unit length."""


@pytest.mark.parametrize("layer", [NormedLinear(4, 4), NormedConv2d(4, 4, 1)])
def test_a_layer_with_weights_is_no_normalization_whatever_its_name(layer: nn.Module) -> None:
    assert take_census(layer) == NormCensus()
    assert take_census(nn.Sequential(layer, nn.Sequential(layer), nn.BatchNorm2d(4))) == NormCensus(bn=1)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_scripted_networks_are_counted_by_the_classes_that_they_had() -> None:
    class GroupNormFreeNet(nn.Sequential):
        pass

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), GroupNormFreeNet(nn.Conv2d(4, 4, 3)))
    assert take_census(torch.jit.script(network)) == NormCensus(bn=1)
