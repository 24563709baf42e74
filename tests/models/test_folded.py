"""BatchNorm folded away for good: the same function, and a model of its own."""

from __future__ import annotations

import pytest
import torch

from harness import load_model
from harness.core.errors import HarnessError
from harness.models.classifier import Classifier, Provenance
from harness.models.folded import take_folded_view
from harness.models.networks import NETWORKS


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
