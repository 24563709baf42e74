"""Residual networks: blocks as formulas, shortcuts, grouped convolutions, and branches that start at zero."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from harness.models.networks import NETWORKS
from harness.models.networks.resnet import Block, Bottleneck
from harness.models.networks.stages import BlockShape, Stages, Style
from harness.models.networks.wide_resnet import WideBlock

AnyBlock = type[Block] | type[Bottleneck] | type[WideBlock]


def style(norm: str = "none", activation: str = "relu", shortcut: bool = True) -> Style:
    return Style(norm, activation, shortcut)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))


def test_a_block_is_two_convolutions_and_a_projected_shortcut(x: Tensor) -> None:
    torch.manual_seed(0)
    block = Block(BlockShape(4, 8, 8, 2), style(activation="selu"))
    branch = block.conv2(F.selu(block.conv1(x)))
    assert isinstance(block.shortcut, nn.Sequential)
    torch.testing.assert_close(block(x), F.selu(branch + block.shortcut[0](x)))
    assert block(x).shape == (2, 8, 3, 3)


def test_a_bottleneck_is_three_convolutions_and_strides_in_the_one_between(x: Tensor) -> None:
    torch.manual_seed(0)
    block = Bottleneck(BlockShape(4, 6, 8, 2, groups=3), style())
    branch = block.conv3(block.conv2(block.conv1(x).relu()).relu())
    assert isinstance(block.shortcut, nn.Sequential)
    torch.testing.assert_close(block(x), (branch + block.shortcut[0](x)).relu())
    assert [layer.kernel_size[0] for layer in (block.conv1, block.conv2, block.conv3)] == [1, 3, 1]
    assert [layer.stride[0] for layer in (block.conv1, block.conv2, block.conv3)] == [1, 2, 1]
    assert [layer.groups for layer in (block.conv1, block.conv2, block.conv3)] == [1, 3, 1]


def test_a_wide_block_activates_before_it_convolves_and_projects_what_it_activated(x: Tensor) -> None:
    torch.manual_seed(0)
    block = WideBlock(BlockShape(4, 8, 8, 2), style())
    assert block.projection is not None
    torch.testing.assert_close(block(x), block.conv2(block.conv1(x.relu()).relu()) + block.projection(x.relu()))
    plain = WideBlock(BlockShape(4, 4, 4, 1), style())
    torch.testing.assert_close(plain(x), plain.conv2(plain.conv1(x.relu()).relu()) + x)


@pytest.mark.parametrize("shape", [BlockShape(4, 4, 4, 1), BlockShape(4, 8, 8, 2)])
@pytest.mark.parametrize("make", [Block, Bottleneck, WideBlock])
def test_without_shortcut_a_block_is_its_branch(make: AnyBlock, shape: BlockShape, x: Tensor) -> None:
    torch.manual_seed(0)
    block = make(shape, style(shortcut=False))
    last = block.conv2 if isinstance(block, WideBlock) else block.last
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    assert not block(x).any()


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "wrn28"])
def test_a_missing_shortcut_shows_in_the_listing_and_leaves_no_projection(name: str) -> None:
    with torch.device("meta"):
        networks = [NETWORKS.get(name)(width=4, shortcut=shortcut) for shortcut in (True, False)]
    assert repr(networks[0]) != repr(networks[1])
    assert not any("shortcut" in path or "projection" in path for path, _ in networks[1].named_modules())


@pytest.mark.parametrize(("name", "branches"), [("resnet20", 9), ("resnet18", 8), ("resnet50", 16), ("wrn28", 12)])
def test_without_normalization_every_branch_starts_at_zero_unless_it_is_all_there_is(name: str, branches: int) -> None:
    def silent(**arguments: object) -> int:
        network = NETWORKS.get(name)(width=4, **arguments)
        return sum(not layer.weight.any() for layer in network.modules() if isinstance(layer, nn.Conv2d))

    assert silent(norm="none") == branches
    assert silent(norm="none", shortcut=False) == 0
    assert silent(norm="bn") == 0


def test_stages_halve_the_pixels_and_double_the_channels() -> None:
    shapes = list(Stages((2, 1), bottleneck=True, groups=8).shapes(3, 5))
    assert shapes == [BlockShape(3, 40, 20, 1, 8), BlockShape(20, 40, 20, 1, 8), BlockShape(20, 80, 40, 2, 8)]
    assert list(Stages((1, 2)).shapes(16, 16)) == [
        BlockShape(16, 16, 16, 1), BlockShape(16, 32, 32, 2), BlockShape(32, 32, 32, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_with_the_stem_of_large_images_a_resnet_is_that_of_torchvision(name: str) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.get_model(name).eval()
    with torch.device("meta"):
        network = NETWORKS.get(name)(classes=1000, stem="large").eval()
    weights = reference.state_dict().values()
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)), assign=True)
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(network(images), reference(images))


@pytest.mark.parametrize("norm", ["none", "fixup"])
def test_the_large_stem_leaves_a_quarter_of_the_side_to_the_blocks(norm: str) -> None:
    network = NETWORKS.get("resnet18")(norm=norm, width=4, stem="large")
    sides: list[torch.Size] = []
    first = network.get_submodule("blocks.1")
    first.register_forward_hook(lambda module, inputs, output: sides.append(output.shape))
    network(torch.rand(1, 3, 48, 64))
    assert sides == [(1, 4, 12, 16)]


@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_the_listing_of_a_resnet_with_relu_names_no_activation(name: str) -> None:
    with torch.device("meta"):
        listing = repr(NETWORKS.get(name)())
    assert "ReLU" not in listing
    assert listing.startswith("ResNet(\n  (conv): Conv2d(3, 16,")
    assert "(0): Block(\n      (conv1)" in listing
