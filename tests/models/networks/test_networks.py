"""Every architecture with every norm: sizes known from papers, small images, sane first logits, a faithful twin."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.models.census import take_census
from harness.models.networks import NETWORKS
from harness.models.networks.norms import NORMS
from harness.models.prepare import prepare
from tests.models.test_prepare import classifier, deviation, pictures

FIXUP = ["resnet20", "resnet18", "resnet50", "resnext29"]

ONE_OF_A_KIND = ["alexnet", "densenet100", "resnet20", "resnet18", "resnet50", "resnext29", "vgg11", "wrn28"]
"""Of networks that differ in their depth alone, a shallow one."""

EVERY_NORM = [(name, norm) for name in ONE_OF_A_KIND for norm in (*NORMS, "fixup") if norm != "fixup" or name in FIXUP]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet20", 0.27),
        ("resnet32", 0.47),
        ("resnet44", 0.66),
        ("resnet56", 0.86),
        ("resnet18", 11.17),
        ("resnet34", 21.28),
        ("resnet50", 23.52),
        ("resnext29", 34.43),
        ("wrn28", 36.48),
        ("densenet100", 0.77),
        ("densenet121", 6.96),
        ("vgg11", 9.23),
        ("vgg16", 14.72),
        ("vgg19", 20.04),
        ("alexnet", 2.47),
    ],
)
def test_a_network_has_as_many_parameters_as_published(name: str, millions: float) -> None:
    with torch.device("meta"):
        network = NETWORKS.get(name)(norm="bn")
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        *((f"resnet{depth}", depth) for depth in (8, 18, 20, 32, 34, 38, 44, 50, 56, 74)),
        ("resnext29", 29),
        ("densenet100", 100),
        ("densenet121", 121),
        # The papers of the following count three linear layers, of which one is left.
        ("vgg11", 9),
        ("vgg13", 11),
        ("vgg16", 14),
        ("vgg19", 17),
        ("alexnet", 6),
        # This one counts its three projections, but not its linear layer.
        ("wrn28", 26),
    ],
)
def test_a_network_is_as_deep_as_its_name_says(name: str, depth: int) -> None:
    with torch.device("meta"):
        parts = NETWORKS.get(name)(width=8).named_modules()
    weighted = [path for path, part in parts if isinstance(part, (nn.Conv2d, nn.Linear))]
    assert sum("shortcut" not in path and "projection" not in path for path in weighted) == depth


@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_network_maps_images_of_28_and_32_pixels_to_logits(name: str) -> None:
    with torch.no_grad():
        network = NETWORKS.get(name)(classes=7, channels=1, norm="none", width=4)
        for size in (28, 32):
            assert network(torch.zeros(2, 1, size, size)).shape == (2, 7)


@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_network_is_built_with_every_norm_and_shows_it(name: str) -> None:
    families = {}
    with torch.device("meta"):
        for norm in NORMS:
            families[norm] = take_census(NETWORKS.get(name)(classes=100, norm=norm, width=16)).family
    assert families == {
        "none": "none", "bn": "bn", "in": "in", "ln": "ln", "gn": "gn", "ws-gn": "gn", "rn": "rn"
    }  # fmt: skip


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize(("name", "norm"), EVERY_NORM)
def test_first_logits_and_gradients_are_finite_and_of_usual_size(name: str, norm: str, size: int) -> None:
    torch.manual_seed(0)
    network = NETWORKS.get(name)(channels=1, norm=norm, width=8)
    logits = network(torch.randn(2, 1, size, size))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert sum(gradient.square().sum() for gradient in gradients if gradient is not None) > 0
    if norm == "fixup":
        assert not logits.any()
    else:
        assert 0.01 < logits.abs().max() < 10


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_the_twin_of_a_network_with_batchnorm_agrees_with_it(name: str) -> None:
    torch.manual_seed(0)
    original = classifier(NETWORKS.get(name)(width=8))
    prepared = prepare(original, pictures(28))
    worst, scale = deviation(original, prepared, pictures(32))
    assert prepared.folded > 0
    assert worst <= 1e-4 * scale


@pytest.mark.parametrize("norm", [*NORMS, "fixup"])
def test_the_twin_of_a_network_agrees_with_it_whatever_its_norm(norm: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS.get("resnet8")(norm=norm, width=8)
    nn.init.normal_(network.logits.weight)  # type: ignore[arg-type, union-attr]
    original = classifier(network)
    prepared = prepare(original, pictures())
    worst, scale = deviation(original, prepared, pictures())
    assert worst <= 1e-4 * scale
    assert isinstance(prepared.model.model.network, torch.fx.GraphModule)  # type: ignore[union-attr]
