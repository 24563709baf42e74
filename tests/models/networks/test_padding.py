"""Padding to a multiple."""

from __future__ import annotations

import pytest
import torch

from harness.models.networks import NETWORKS
from harness.models.networks.padding import padded


def test_zeros_are_added_on_all_sides_up_to_the_next_multiple() -> None:
    images = torch.rand(2, 1, 28, 29)
    expected = torch.zeros(2, 1, 32, 32)
    expected[:, :, 2:30, 1:30] = images
    assert torch.equal(padded(images, 32), expected)


def test_images_of_a_multiple_stay_as_they_are() -> None:
    images = torch.rand(2, 1, 32, 64)
    assert torch.equal(padded(images, 32), images)


@pytest.mark.parametrize("name", ["vgg11", "alexnet"])
def test_a_network_that_pools_five_times_takes_images_of_any_size(name: str) -> None:
    with torch.device("meta"):
        network = NETWORKS.get(name)(width=4)
        for size in (8, 28, 32, 40):
            assert network(torch.empty(2, 3, size, size)).shape == (2, 10)
