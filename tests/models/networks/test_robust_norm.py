"""RobustNorm: its formula, its two views, and its tracked mean."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import torch
from torch import Tensor, fx

from harness.models.classifier import Classifier, Provenance
from harness.models.examination import examine
from harness.models.networks import NETWORKS
from harness.models.networks.robust_norm import RobustNorm2d, power_of_range


@pytest.fixture
def x() -> Tensor:
    return 3 * torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(2)) + 1


def channel_by_channel(x: Tensor, means: list[float], power: float) -> Tensor:
    """The formula of the paper, one channel at a time, with scales 2, 3 and shifts -1, 1."""
    channels = [
        (2 + channel) * (part - mean) / ((part.max() - part.min()) ** power + 1e-5) + (2 * channel - 1)
        for channel, (part, mean) in enumerate(zip(x.unbind(1), means, strict=True))
    ]
    return torch.stack(channels, 1)


def layer(power: float = 0.2) -> RobustNorm2d:
    made = RobustNorm2d(2, power)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([2.0, 3.0]))
        made.bias.copy_(torch.tensor([-1.0, 1.0]))
    return made


@pytest.mark.parametrize("power", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("training", [True, False])
def test_mean_and_range_are_those_of_the_batch(x: Tensor, power: float, training: bool) -> None:
    expected = channel_by_channel(x, [part.mean().item() for part in x.unbind(1)], power)
    torch.testing.assert_close(layer(power).train(training)(x), expected)


def test_training_moves_the_tracked_mean_by_a_tenth_towards_that_of_each_batch(x: Tensor) -> None:
    norm = layer()
    norm(x)
    norm(x + 1)
    mean = x.mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, 0.9 * (0.1 * mean) + 0.1 * (mean + 1))


def test_evaluation_leaves_the_tracked_mean_alone(x: Tensor) -> None:
    norm = layer().eval()
    norm(x)
    assert not norm.running_mean.any()


def test_the_tracked_view_takes_the_mean_of_training_and_the_range_of_the_batch(x: Tensor) -> None:
    norm = layer().eval()
    norm.running_mean.copy_(torch.tensor([0.5, -0.25]))
    norm.view = "tracked"
    torch.testing.assert_close(norm(x), channel_by_channel(x, [0.5, -0.25], 0.2))


def test_training_takes_the_batchs_mean_in_either_view(x: Tensor) -> None:
    norm = layer()
    other = copy.deepcopy(norm)
    other.view = "tracked"
    assert torch.equal(norm(x), other(x))


def test_gradients_pass_through_mean_and_range() -> None:
    x = torch.randn(3, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    norm = layer().double()
    norm.momentum = 0.0
    assert torch.autograd.gradcheck(norm, (x,))


def test_a_constant_channel_has_a_power_of_zero_with_a_gradient_of_zero() -> None:
    x = torch.ones(2, 1, 2, 2, requires_grad=True)
    power = power_of_range(x, 0.2)
    power.sum().backward()
    assert power.item() == 0
    assert x.grad is not None
    assert not x.grad.any()


def test_the_view_shows_in_what_the_fingerprint_hashes() -> None:
    norm = layer()
    before = repr(norm)
    norm.view = "tracked"
    assert repr(norm) != before
    assert repr(layer(0.1)) != repr(layer(0.2))


def test_the_output_has_the_precision_of_the_input(x: Tensor) -> None:
    assert layer()(x.bfloat16()).dtype == torch.bfloat16


def test_a_trace_of_a_network_in_eval_mode_computes_what_the_network_does() -> None:
    torch.manual_seed(0)
    network = NETWORKS.get("resnet8")(norm="rn", width=4).eval()
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(fx.symbolic_trace(network)(images), network(images))


@pytest.mark.parametrize("view", ["batch", "tracked"])
def test_the_examination_finds_predictions_that_depend_on_the_batch(view: Literal["batch", "tracked"]) -> None:
    torch.manual_seed(0)
    network = NETWORKS.get("resnet8")(norm="rn", width=4)
    for part in network.modules():
        if isinstance(part, RobustNorm2d):
            part.view = view
    images = torch.rand(8, 3, 16, 16) * torch.linspace(0.1, 1, 8).view(-1, 1, 1, 1)
    found = examine(Classifier(network, Provenance("test")), images, batch_size=4)
    assert found == {"batch_dependent": 8}
