"""Activation functions by name."""

from __future__ import annotations

import pytest
import torch

from harness.core.errors import HarnessError
from harness.models.networks import NETWORKS
from harness.models.networks.activations import activation_factory

X = torch.tensor([-2.0, 0.0, 3.0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0.0, 0.0, 3.0]),
        ("leaky-relu", [-0.02, 0.0, 3.0]),
        ("selu", [1.0507 * 1.67326 * (0.1353353 - 1), 0.0, 1.0507 * 3]),
    ],
)
def test_an_activation_is_what_its_paper_says(name: str, expected: list[float]) -> None:
    torch.testing.assert_close(activation_factory(name)()(X), torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_an_unknown_activation_is_met_with_the_nearest_one() -> None:
    with pytest.raises(HarnessError, match="did you mean: leaky-relu"):
        activation_factory("leakyrelu")


@pytest.mark.parametrize("network", NETWORKS.names())
def test_the_activation_changes_the_listing_and_so_the_fingerprint_of_a_network(network: str) -> None:
    make = NETWORKS.get(network)
    with torch.device("meta"):
        listings = {repr(make(width=4, activation=activation)) for activation in ("relu", "leaky-relu", "selu")}
    assert len(listings) == 3


@pytest.mark.parametrize("network", NETWORKS.names())
def test_no_relu_is_left_in_a_network_of_another_activation(network: str) -> None:
    with torch.device("meta"):
        model = NETWORKS.get(network)(width=4, activation="selu")
    graph = torch.fx.symbolic_trace(model).graph
    assert not any("relu" in str(node.target).lower() for node in graph.nodes)
