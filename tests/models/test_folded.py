"""BatchNorm folded away for good: the same function, and a model of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness import load_model
from harness.core.errors import HarnessError, Problems
from harness.models.classifier import Classifier, Provenance
from harness.models.folded import check_folded_view, take_folded_view
from harness.models.networks import NETWORKS
from harness.plan import make_plan


def trained_like() -> Classifier:
    """A network whose running statistics are not those of its start."""
    torch.manual_seed(0)
    network = NETWORKS.get("resnet8")(width=4).train()
    for _ in range(5):
        network(torch.randn(16, 3, 16, 16) * 2 + 1)
    return Classifier(network, Provenance("test"), mean=(0.4,), std=(0.3,))


def test_the_function_and_its_gradient_stay() -> None:
    model, images = trained_like(), torch.rand(4, 3, 16, 16, requires_grad=True)
    logits = model(images)
    (gradient,) = torch.autograd.grad(logits.square().sum(), images)
    take_folded_view(model)
    torch.testing.assert_close(model(images), logits)
    (after,) = torch.autograd.grad(model(images).square().sum(), images)
    torch.testing.assert_close(after, gradient, rtol=1e-4, atol=1e-5)


def test_no_layer_is_left_but_the_census_still_counts_them() -> None:
    model = trained_like()
    before, fingerprint = model.census, model.fingerprint
    take_folded_view(model)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.modules())
    assert model.census == before
    assert model.fingerprint != fingerprint
    assert model.provenance.details["view"] == {"bn": "folded"}


def test_where_nothing_can_be_folded_there_is_no_such_view() -> None:
    with pytest.raises(HarnessError, match='bn = "folded": zoo:digits-vgg6-none has no BatchNorm layer'):
        take_folded_view(load_model("zoo:digits-vgg6-none"))


def hooked() -> Classifier:
    """A network whose answers a hook turns around."""
    model = trained_like()
    model.network.register_forward_hook(lambda layer, inputs, output: -output)
    return model


def test_a_view_that_computes_something_else_is_refused() -> None:
    images, view = torch.rand(4, 3, 16, 16), trained_like()
    take_folded_view(view)
    check_folded_view(view, trained_like(), images)
    with pytest.raises(HarnessError, match="computes something else once it is folded"):
        check_folded_view(view, hooked(), images)


def test_a_plan_refuses_it(suite_file: Callable[..., Path], module: Callable[[str], str]) -> None:
    name = module(
        "import harness\n"
        "def network():\n"
        "    model = harness.load_model('zoo:digits-vgg6-bn')\n"
        "    model.network.register_forward_hook(lambda layer, inputs, output: -output)\n"
        "    return model\n"
    )
    path = suite_file(('zoo:digits-vgg6-bn"', f'python:{name}:network"\nbn = "folded"'))
    with pytest.raises(Problems, match="computes something else once it is folded"):
        make_plan(path)
