"""Answers are compared where they matter: among the classes that a prediction may become."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from harness.models import load_model
from harness.models.answers import Answer
from harness.models.classifier import Classifier, Provenance
from harness.models.prepare import prepare

MASKED = -1e9


def images(count: int = 16) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def usual(classes: int = 10) -> Tensor:
    """(16, K) logits between -5 and 5."""
    return torch.rand(16, classes, generator=torch.Generator().manual_seed(0)) * 10 - 5


def answer(logits: Tensor) -> Answer:
    return Answer(logits, logits, torch.zeros(len(logits), 1, 8, 8), drew=False)


def changed(logits: Tensor, by: float) -> Tensor:
    """The top logit of the first image is another one."""
    other = logits.clone()
    other[0, other[0].argmax()] += by
    return other


@pytest.mark.parametrize("masked", [0, 1, 100])
def test_classes_that_are_masked_neither_hide_a_difference_nor_widen_the_scale(masked: int) -> None:
    logits = torch.cat([usual(20), torch.full((16, masked), MASKED)], 1)
    assert answer(changed(logits, -0.5)).difference(answer(logits)) == pytest.approx(0.5, abs=1e-5)
    assert answer(logits).scale < 50


def test_differences_far_below_the_top_do_not_count() -> None:
    masked = torch.cat([usual(), torch.full((16, 1), MASKED)], 1)
    otherwise = torch.cat([usual(), torch.full((16, 1), 2 * MASKED)], 1)
    assert answer(otherwise).difference(answer(masked)) == 0
    risen = torch.cat([usual(), torch.full((16, 1), 10.0)], 1)
    assert answer(risen).difference(answer(masked)) > 10


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_the_scale_is_the_largest_logit_and_no_more_than_the_way_from_the_top_to_the_bottom(shift: float) -> None:
    logits = usual() + shift
    range = (usual().amax(1) - usual().amin(1)).max().item()
    assert answer(logits).scale == pytest.approx(min(range, logits.abs().max().item()), rel=1e-4)


def test_what_is_added_to_all_logits_counts() -> None:
    assert answer(usual() + 1).difference(answer(usual())) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_differ_infinitely(value: float) -> None:
    broken = usual()
    broken[3, 3] = value
    assert answer(broken).difference(answer(usual())) == math.inf


def test_equal_logits_of_all_classes_are_compared_in_full() -> None:
    assert answer(torch.tensor([[0.0, 3.0]] * 4)).difference(answer(torch.zeros(4, 2))) == 3


def test_the_lead_is_that_of_the_top_logit_over_the_second() -> None:
    logits = torch.tensor([[0.0, 1.0, 3.0], [5.0, 4.0, 0.0], [9.0, 0.0, 0.0]])
    assert answer(logits).lead == 2
    assert answer(torch.ones(2, 1)).lead == math.inf


class Behind(nn.Module):
    """A trained network whose logits are treated."""

    def __init__(self, scale: float = 1.0, masked: int = 0) -> None:
        super().__init__()
        self.network = load_model("zoo:digits-resnet8-bn")
        self.scale, self.masked = scale, masked

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return torch.cat([self.scale * logits, logits.new_full((len(logits), self.masked), MASKED)], 1)


@pytest.mark.parametrize("masked", [1, 30])
def test_the_slack_in_bfloat16_does_not_grow_with_classes_that_are_masked(masked: int) -> None:
    slack = prepare(Classifier(Behind(), Provenance("test")), images(), "bfloat16").slack
    prepared = prepare(Classifier(Behind(masked=masked), Provenance("test")), images(), "bfloat16")
    assert prepared.precision == "bfloat16"
    assert 0 < prepared.slack < 2 * slack


class Tied(nn.Module):
    """Two classes that all but share the top, which eight bits cannot tell apart, far above all others."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.rest = nn.Linear(64, 1), nn.Linear(64, 1), nn.Linear(64, 8)
        with torch.no_grad():
            self.second.weight.copy_(self.first.weight + 1e-3 * torch.randn(1, 64))
            self.second.bias.copy_(self.first.bias)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        return torch.cat([self.first(pixels) + 10, self.second(pixels) + 10, self.rest(pixels)], 1)


def test_a_model_whose_leads_are_lost_in_bfloat16_is_used_in_float32() -> None:
    assert prepare(Classifier(Tied(), Provenance("test")), images(), "bfloat16").precision == "float32"
