"""The norm census of networks from torch, torchvision, timm and of ours."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

from harness.models.census import NormCensus, take_census
from harness.models.networks import NETWORKS


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
        ("test_efficientnet_evos", "other"),
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
        (nn.RMSNorm(4), "other"),
        (timm.layers.norm.RmsNorm2d(4), "other"),
        (timm.layers.grn.GlobalResponseNorm(4), "other"),
        (nn.LocalResponseNorm(2), "other"),
        (nn.Dropout(), "none"),
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
