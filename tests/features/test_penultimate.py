"""Penultimate activations: the input of the linear layer that runs last."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness import load_model
from harness.core.errors import HarnessError
from harness.features.penultimate import penultimate
from harness.models.prepare import prepare


class LastIsFirst(nn.Module):
    """Its linear layers run in another order than they are registered in."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Linear(3, 2)
        self.hidden = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.logits(self.hidden(images.flatten(1)).relu())
        return result


def test_the_linear_layer_that_runs_last_counts_not_the_one_that_is_registered_last() -> None:
    model, images = LastIsFirst(), torch.rand(5, 1, 2, 2)
    assert torch.equal(penultimate(model, images), model.hidden(images.flatten(1)).relu())


def test_activations_times_the_last_weights_are_the_logits() -> None:
    model = load_model("zoo:digits-resnet8-bn")
    images = torch.rand(4, 1, 8, 8)
    (last,) = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    torch.testing.assert_close(last(penultimate(model, images)), model(images))


def test_the_fast_twin_has_the_same_activations() -> None:
    model, images = load_model("zoo:digits-resnet8-bn"), torch.rand(4, 1, 8, 8)
    prepared = prepare(model, images)
    assert prepared.folded > 0
    torch.testing.assert_close(penultimate(prepared.model, images), penultimate(model, images), atol=1e-5, rtol=1e-4)


def test_no_hook_is_left_behind() -> None:
    model = LastIsFirst()
    penultimate(model, torch.rand(1, 1, 2, 2))
    assert not model.logits._forward_pre_hooks


def test_a_network_without_linear_layer_is_refused() -> None:
    with pytest.raises(HarnessError, match="no linear layer"):
        penultimate(nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten()), torch.rand(1, 1, 2, 2))
