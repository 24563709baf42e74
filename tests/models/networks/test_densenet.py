"""DenseNet: what a layer adds, and what a transition halves."""

from __future__ import annotations

import torch

from harness.models.networks.densenet import DenseLayer, DenseNet, transition


def test_a_dense_layer_keeps_its_input_and_adds_its_growth() -> None:
    torch.manual_seed(0)
    layer = DenseLayer(6, 2, "none", "relu")
    x = torch.randn(2, 6, 5, 5)
    first, second = layer.branch[2], layer.branch[5]
    torch.testing.assert_close(layer(x), torch.cat([x, second(first(x.relu()).relu())], dim=1))
    assert first.out_channels == 8


def test_a_transition_halves_channels_and_pixels() -> None:
    assert transition(10, "bn", "relu")(torch.randn(2, 10, 8, 8)).shape == (2, 5, 4, 4)


def test_the_variance_of_features_stays_through_many_layers_without_normalization() -> None:
    torch.manual_seed(0)
    network = DenseNet((30,), 16, 10, 3, "none", "relu")
    features = network.layers(network.conv(torch.randn(4, 3, 16, 16)))
    assert 0.1 < features[:, -8:].std() / features[:, :16].std() < 10
