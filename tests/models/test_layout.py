"""Memory layouts: which networks stay contiguous on CPUs, and that nothing but speed depends on it."""

from __future__ import annotations

import pytest
import torch

from harness.models.classifier import Classifier, Provenance
from harness.models.layout import layout_of
from harness.models.networks import NETWORKS
from harness.models.prepare import Twin, prepare


@pytest.mark.parametrize("norm", ["none", "bn", "ln"])
def test_most_networks_run_channels_last(norm: str) -> None:
    assert layout_of(NETWORKS.get("resnet8")(norm=norm, width=8), "cpu") == torch.channels_last


def test_networks_whose_narrow_projections_would_corrupt_memory_stay_contiguous_on_cpus_only() -> None:
    network = NETWORKS.get("resnet8")(width=4)
    assert layout_of(network, "cpu") == torch.contiguous_format
    assert layout_of(network, "cuda:0") == torch.channels_last


@pytest.mark.parametrize("norm", ["in", "gn"])
def test_group_and_instance_norms_stay_contiguous_on_cpus_only(norm: str) -> None:
    network = NETWORKS.get("resnet8")(norm=norm, width=8)
    assert layout_of(network, "cpu") == torch.contiguous_format
    assert layout_of(network, "cuda:0") == torch.channels_last


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_the_twin_lays_out_weights_and_images_alike(norm: str) -> None:
    classifier = Classifier(NETWORKS.get("resnet8")(norm=norm, width=8), Provenance("test"))
    images = torch.rand(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    twin = prepare(classifier, images).model
    assert isinstance(twin, Twin)
    weights = next(part for part in twin.parameters() if part.ndim == 4 and part.shape[1] > 1 and part.shape[2] > 1)
    assert weights.is_contiguous(memory_format=layout_of(classifier, "cpu"))
    torch.testing.assert_close(twin(images), classifier(images))
