"""Convolutions: bias, standardized weights, and the variance that initialization keeps."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.models.networks import NETWORKS
from harness.models.networks.convolutions import convolution, initialize


@pytest.mark.parametrize("norm", ["bn", "in", "ln", "gn", "rn", "ws-gn", "fixup"])
def test_a_convolution_has_a_bias_exactly_when_nothing_after_it_shifts(norm: str) -> None:
    assert convolution(2, 3, 3, 1, norm).bias is None
    assert convolution(2, 3, 3, 1, "none").bias is not None


def test_weight_standardization_convolves_by_filters_of_mean_zero_and_deviation_one() -> None:
    torch.manual_seed(0)
    layer = convolution(4, 3, 3, 2, "ws-gn").double()
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    filters = [(one - one.mean()) / (((one - one.mean()) ** 2).mean().sqrt() + 1e-5) for one in layer.weight]
    torch.testing.assert_close(layer(x), F.conv2d(x, torch.stack(filters), stride=2, padding=1))


@pytest.mark.parametrize("norm", ["bn", "ws-gn"])
def test_a_network_standardizes_its_weights_only_if_asked_to(norm: str) -> None:
    with torch.device("meta"):
        convolutions = [m for m in NETWORKS.get("resnet8")(norm=norm).modules() if isinstance(m, nn.Conv2d)]
    assert {type(layer) is nn.Conv2d for layer in convolutions} == {norm == "bn"}


@pytest.mark.parametrize(
    ("activation", "mode", "deviation"),
    [
        ("relu", "fan_out", math.sqrt(2 / (128 * 9))),
        ("leaky-relu", "fan_in", math.sqrt(2 / (32 * 9))),
        ("selu", "fan_in", math.sqrt(1 / (32 * 9))),
    ],
)
def test_initialization_is_he_normal_and_selu_has_a_gain_of_one(activation: str, mode: str, deviation: float) -> None:
    torch.manual_seed(0)
    layer = convolution(32, 128, 3, 1, "none")
    initialize(layer, activation, mode)
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert layer.bias is not None
    assert not layer.bias.any()
