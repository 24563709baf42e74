"""Fixup: what is zero at first, what is scaled, and how many numbers are learned beside the weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.core.errors import HarnessError
from harness.models.census import take_census
from harness.models.networks import NETWORKS
from harness.models.networks.fixup import FixupBlock, FixupResNet, Scale, Shift


def build(name: str, **arguments: object) -> FixupResNet:
    torch.manual_seed(0)
    network = NETWORKS.get(name)(norm="fixup", **arguments)
    assert isinstance(network, FixupResNet)
    return network


def blocks_of(network: FixupResNet) -> list[FixupBlock]:
    return [block for block in network.blocks if isinstance(block, FixupBlock)]


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "resnext29"])
def test_branches_and_logits_are_zero_at_first(name: str) -> None:
    network = build(name, width=4)
    for block in blocks_of(network):
        x = torch.randn(2, block.convolutions[0].in_channels, 8, 8)
        assert not block.branch(x).any()
        torch.testing.assert_close(block(x), block.shortcut(x).relu())
    assert not network(torch.rand(2, 3, 32, 32)).any()


@pytest.mark.parametrize(("name", "branches", "convolutions"), [("resnet20", 9, 2), ("resnet50", 16, 3)])
def test_the_other_convolutions_of_a_branch_are_scaled_by_its_depth_and_their_number(
    name: str, branches: int, convolutions: int
) -> None:
    network = build(name, width=32)
    factor = branches ** (-1 / (2 * convolutions - 2))
    for block in blocks_of(network):
        assert len(block.convolutions) == convolutions
        for layer in block.convolutions[:-1]:
            he = math.sqrt(2 / (layer.out_channels * layer.kernel_size[0] ** 2))
            assert layer.weight.std().item() == pytest.approx(factor * he, rel=0.1)
    assert network.conv.weight.std().item() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.1)


def test_a_shift_stands_before_every_convolution_and_activation_and_one_scale_in_every_branch() -> None:
    network = build("resnet20", width=4)
    for block in blocks_of(network):
        assert [type(layer) for layer in block.branch] == [
            Shift, nn.Conv2d, Shift, nn.ReLU, Shift, nn.Conv2d, Scale, Shift
        ]  # fmt: skip
    assert sum(isinstance(part, Shift) for part in network.modules()) == 1 + 9 * 4 + 2 + 1


def test_scale_and_shift_start_as_the_identity_and_learn_one_number() -> None:
    x = torch.randn(2, 3, 4, 4)
    scale, shift = Scale(), Shift()
    assert torch.equal(shift(scale(x)), x)
    with torch.no_grad():
        scale.weight.fill_(2.0)
        shift.bias.fill_(-1.0)
    assert torch.equal(shift(scale(x)), 2 * x - 1)


def test_fixup_has_no_normalization_layer() -> None:
    assert take_census(build("resnet8", width=4)).family == "none"


def test_fixup_without_shortcuts_is_refused() -> None:
    with pytest.raises(HarnessError, match="shortcut = true"):
        build("resnet8", shortcut=False)


def test_a_network_that_fixup_is_not_for_says_so() -> None:
    with pytest.raises(HarnessError, match="ResNets and ResNeXts"):
        NETWORKS.get("vgg11")(norm="fixup")
