"""Normalization layers: their axes, their groups, and the networks that use them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError
from harness.models.networks import NETWORKS
from harness.models.networks.norms import NORMS, norm_factory

EPSILON = 1e-5
CHANNELS = 6


def feature_maps(samples: int = 3, size: int = 5) -> Tensor:
    """(N, 6, H, W) whose samples and channels differ in mean and scale."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, CHANNELS, size, size, generator=generator)
    x = x * torch.rand(samples, CHANNELS, 1, 1, generator=generator) + torch.arange(6.0).view(1, 6, 1, 1)
    return x.double()


def standardized(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """(x - mean) / sqrt(variance + 1e-5) over `axes`."""
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + EPSILON).sqrt()


def with_affine(layer: nn.Module) -> nn.Module:
    """The layer in float64, with scales 1, 2, ... and shifts -1, -2, ... per channel."""
    steps = torch.arange(1.0, CHANNELS + 1)
    with torch.no_grad():
        layer.weight.copy_(steps)  # type: ignore[operator]
        layer.bias.copy_(-steps)  # type: ignore[operator]
    return layer.double()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "axes"), [("in", (2, 3)), ("ln", (1, 2, 3))])
def test_a_per_sample_norm_standardizes_over_its_axes_then_scales_and_shifts_each_channel(
    name: str, axes: tuple[int, ...], training: bool
) -> None:
    x = feature_maps()
    steps = torch.arange(1.0, CHANNELS + 1).view(1, -1, 1, 1)
    layer = with_affine(norm_factory(name)(CHANNELS)).train(training)
    torch.testing.assert_close(layer(x), standardized(x, axes) * steps - steps)


def test_group_norm_standardizes_pairs_of_neighbouring_channels_of_narrow_layers() -> None:
    x = feature_maps()
    grouped = standardized(x.view(3, 3, 2, 5, 5), (2, 3, 4)).view_as(x)
    torch.testing.assert_close(norm_factory("gn")(CHANNELS).double()(x), grouped)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 1), (16, 8), (64, 32), (84, 28), (128, 32), (256, 32)])
def test_group_norm_has_the_most_groups_of_at_least_two_channels_up_to_32(channels: int, groups: int) -> None:
    layer = norm_factory("gn")(channels)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == groups


def test_batch_norm_in_training_standardizes_over_batch_and_positions() -> None:
    x = feature_maps()
    torch.testing.assert_close(norm_factory("bn")(CHANNELS).double()(x), standardized(x, (0, 2, 3)))


@pytest.mark.parametrize("name", ["in", "ln", "gn"])
def test_a_per_sample_norm_keeps_no_statistics(name: str) -> None:
    assert not list(norm_factory(name)(CHANNELS).buffers())


def test_an_unknown_norm_is_met_with_the_known_ones() -> None:
    with pytest.raises(HarnessError, match="known: bn, gn, in, ln, none, rn, ws-gn"):
        norm_factory("batchnorm")


@pytest.mark.parametrize(
    ("network", "norm"), [*((name, norm) for name in ("resnet8", "vgg6") for norm in NORMS), ("resnet8", "fixup")]
)
def test_a_network_learns_four_patterns_with_every_norm(network: str, norm: str) -> None:
    torch.manual_seed(0)
    model = NETWORKS.get(network)(norm=norm, width=8, channels=1, classes=4)
    labels = torch.arange(16) % 4
    images = stripes(16)[labels] + 0.1 * torch.randn(16, 1, 16, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] < 4
    assert losses[-1] < losses[0] - 0.1


def stripes(size: int) -> Tensor:
    """(4, 1, size, size) stripes that run across, down, and along both diagonals."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (
        torch.stack([direction % 4 < 2 for direction in (rows, columns, rows + columns, rows - columns)])[:, None] * 1.0
    )
