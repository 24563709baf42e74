"""Memory layouts: which networks stay contiguous on CPUs, and that nothing but speed depends on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import harness
from harness.judging import predict
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


class Viewed(nn.Module):
    """Flattens a map that it takes for a contiguous one, as the networks of torch's tutorial and of TRADES do."""

    def __init__(self, channels: int, *, norm: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(8, 8, 3),
        )  # fmt: skip
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        rows = features.view(-1, features.shape[1] * features.shape[2] * features.shape[3])
        logits: Tensor = self.head(rows[:, :8])
        return logits


def pictures(channels: int, size: int = 12) -> Tensor:
    return torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_twin_of_a_network_that_flattens_with_view_is_contiguous(
    channels: int, norm: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    original, images = Classifier(Viewed(channels, norm=norm), Provenance("test")), pictures(channels)
    prepared = prepare(original, images)
    assert capfd.readouterr() == ("", ""), "a traced network would print that it failed"
    assert prepared.folded == norm
    points = images.clone().requires_grad_()
    logits = prepared.model(points)
    torch.testing.assert_close(logits, original(images))
    assert torch.autograd.grad(logits.square().sum(), points)[0].abs().max() > 0


def test_predicting_tries_the_fast_layout_once_and_remembers_that_a_network_fails_in_it() -> None:
    network, contiguous = Viewed(3), []
    model = Classifier(network, Provenance("test"))
    expected = model(pictures(3)).argmax(1)
    network.body.register_forward_hook(lambda layer, images, output: contiguous.append(output.is_contiguous()))
    assert all(torch.equal(predict(model, pictures(3)), expected) for _ in range(3))
    assert contiguous == [False, True, True, True]


def test_a_pass_that_fails_in_the_fast_layout_leaves_no_trace() -> None:
    network = Viewed(3)
    network.body.register_forward_hook(lambda layer, images, output: output + torch.randn(()))
    model = Classifier(network, Provenance("test"))
    torch.manual_seed(0)
    with torch.no_grad():
        expected = model(pictures(3)).argmax(1)
        after = torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(predict(model, pictures(3)), expected)
    assert torch.equal(torch.get_rng_state(), after)


def test_what_a_network_fails_with_in_every_layout_is_raised() -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise ValueError("not these images")

    with pytest.raises(ValueError, match="not these images"):
        predict(Classifier(Broken(), Provenance("test")), pictures(3))


MODULE = """
import torch
from torch import nn

class Viewed(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(channels, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(128, 10)
    def forward(self, images):
        features = self.second(torch.relu(self.first(images)))
        return self.head(features.view(-1, 8 * 4 * 4))
"""


@pytest.mark.parametrize("channels", [1, 3])
def test_networks_that_flatten_with_view_are_judged_and_crafted_on(
    suite_file: Callable[..., Path], module: Callable[[str], str], workplace: Path, channels: int
) -> None:
    for label in range(10):
        (workplace / "data" / str(label)).mkdir(parents=True)
        pixels = np.random.default_rng(label).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(workplace / "data" / str(label) / "0.png")
    viewed = f'id = "python:{module(MODULE)}:Viewed"\narguments = {{ channels = {channels} }}'
    suite = suite_file(
        ('id = "digits"\nsamples = 20', f'id = "folder"\npath = "{workplace}/data"\nchannels = {channels}'),
        ('id = "zoo:digits-vgg6-none"', viewed),
        ('[[models]]\nname = "batch"\nid = "zoo:digits-vgg6-bn"\nfacts = { bn = "Y" }\n', ""),
        ("[whitebox]", "[transfer]"),
    )
    results = harness.run(suite)
    assert results.outcome.failures == {}
    crafted = results.outcomes(results.plan.cells.cells[-1].id)
    assert (crafted["passes"] > 0).all()
    assert (crafted["linf"] > 0).all()
