"""APGD: its schedule, the optima it must reach, and what aiming at classes means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from harness.attacks import Crafted, Samples, Setting
from harness.attacks.apgd import APGD, ranked_others
from harness.attacks.halving import intervals
from harness.attacks.sparse import Sparse, places, sparse_sign
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.losses import margin
from harness.core.threat import Norm, ThreatModel

Craft = Callable[..., Crafted]

EPSILONS: dict[Norm, float] = {"linf": 0.05, "l2": 0.5, "l1": 2.0}

BY_NORM = pytest.mark.parametrize("norm", EPSILONS)


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """Two classes whose lead is linear in the pixels."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.weights = scale * (uniform(0, 48) - 0.5)

    def forward(self, images: Tensor) -> Tensor:
        lead = (images - 0.5).flatten(1) @ self.weights
        return torch.stack([torch.zeros_like(lead), lead], 1)


GREY = Samples(torch.full((5, 3, 4, 4), 0.5), torch.zeros(5, dtype=torch.int64), torch.arange(5))
"""Of the first of two classes, with no lead either way."""


def test_checkpoints_are_those_of_the_paper() -> None:
    ends = [place for place, interval in enumerate(intervals(100)) if interval]
    assert ends == [22, 41, 57, 70, 80, 87, 93, 99]


def test_l1_spends_its_steps_in_three_shrinking_balls() -> None:
    passes = places(100)
    assert [sum(place.factor == budget for place in passes) for budget in (3, 2, 1)] == [31, 31, 41]
    assert Sparse(100).last() == len(passes) - 1
    assert [number for number, place in enumerate(passes) if place.is_first] == [0, 31, 62]
    assert [number for number, place in enumerate(passes) if place.is_last] == [30, 61, 102]


def test_l1_looks_at_its_progress_after_every_25th_of_a_phase() -> None:
    everywhere = [not place.is_first for place in places(100)]
    assert [place.is_due for place in places(100)] == everywhere, "which is every step of the usual hundred"
    due = [number for number, place in enumerate(places(126)) if place.is_due]
    assert due == [*range(1, 39), *range(40, 78), *range(80, 129, 2)], "one phase of 50 steps"
    long = [number for number, place in enumerate(places(1000)) if place.is_due]
    assert long == [*range(12, 301, 12), *range(313, 602, 12), *range(618, 1003, 16)]


@BY_NORM
def test_a_linear_model_is_attacked_to_the_closed_form(norm: Norm, craft: Craft) -> None:
    threat, model = ThreatModel(norm, EPSILONS[norm]), Linear()
    result = craft(APGD(steps=50), model, GREY, Setting(threat))
    dual = {"linf": model.weights.abs().sum(), "l2": model.weights.norm(), "l1": model.weights.abs().max()}[norm]
    reached = margin(model(result.adversarial), GREY.classes)
    torch.testing.assert_close(reached, (threat.epsilon * dual).expand(5), rtol=2e-2 if norm == "l1" else 1e-4, atol=0)


class Peak(nn.Module):
    """The lead of the second of two classes is the least of three linear functions: concave, with a ridge."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = uniform(3, 48, 3) - 0.5
        self.offsets = torch.tensor([0.02, -0.05, 0.1])

    def forward(self, images: Tensor) -> Tensor:
        lead = ((images - 0.5).flatten(1) @ self.weights + self.offsets).amin(1)
        return torch.stack([torch.zeros_like(lead), lead], 1)


def test_a_piecewise_linear_model_is_attacked_to_the_optimum_of_the_linear_programme(craft: Craft) -> None:
    model, epsilon = Peak(), 0.05
    rows = torch.cat([-model.weights.T, torch.ones(3, 1)], 1).double().numpy()
    solved = linprog([0.0] * 48 + [-1.0], A_ub=rows, b_ub=model.offsets.double().numpy(),
                     bounds=[(-epsilon, epsilon)] * 48 + [(None, None)])  # fmt: skip
    result = craft(APGD(steps=100), model, GREY, Setting(ThreatModel("linf", epsilon)))
    reached = margin(model(result.adversarial), GREY.classes)
    assert (reached <= -solved.fun + 1e-5).all()
    assert (reached > -solved.fun * 0.9).all(), "signs zigzag along a ridge, so that the last tenth takes long"


def test_the_dlr_loss_sees_through_scaled_logits(network: nn.Module, samples: Samples, craft: Craft) -> None:
    def scaled(images: Tensor) -> Tensor:
        logits: Tensor = network(images)
        return 1024 * logits

    setting = Setting(ThreatModel("linf", 4 / 255))
    plain, loud = (craft(APGD(steps=10, loss="dlr"), model, samples, setting) for model in (network, scaled))
    leads = [margin(network(result.adversarial), samples.classes) for result in (plain, loud)]
    torch.testing.assert_close(leads[0], leads[1], rtol=0.02, atol=0.02)


@BY_NORM
def test_a_larger_budget_never_fools_fewer(norm: Norm, network: nn.Module, samples: Samples, craft: Craft) -> None:
    fooled = []
    for factor in (0.2, 1, 5):
        setting = Setting(ThreatModel(norm, factor * EPSILONS[norm]), stop_when_fooled=True)
        result = craft(APGD(steps=20), network, samples, setting)
        fooled.append(int((network(result.adversarial).argmax(1) != samples.classes).sum()))
    assert fooled == sorted(fooled)
    assert fooled[0] < fooled[-1] == len(samples)


@BY_NORM
def test_images_keep_to_the_budget_whatever_phase_they_end_in(
    norm: Norm, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    ball = ball_of(ThreatModel(norm, EPSILONS[norm]))
    for stop in (False, True):
        setting = Setting(ThreatModel(norm, ball.epsilon), batch_size=3, stop_when_fooled=stop)
        found = craft(APGD(steps=10, targets=2), network, samples, setting).adversarial
        assert ball.distance(samples.images, found).max() <= ball.epsilon * (1 + 1e-6) + 2**-24
        assert found.min() >= 0
        assert found.max() <= 1


def test_classes_are_aimed_at_in_the_order_of_their_clean_logits() -> None:
    logits = torch.tensor([[3.0, 1, 2, 0], [0, 1, 2, 3], [torch.nan, 1, 5, 4]])
    assert ranked_others(logits, torch.tensor([0, 2, 1])).tolist() == [[2, 1, 3], [3, 1, 0], [2, 3, 0]]


class Wall(nn.Module):
    """Nothing but the aimed-at class can win, and only one class is within reach: the one that is last by logit."""

    def forward(self, images: Tensor) -> Tensor:
        lead = 10 * (images.mean((1, 2, 3)) - 0.5)
        return torch.stack([0 * lead, -0.3 - lead, -0.4 - lead, -0.5 + 4 * lead], 1)


def test_the_class_within_reach_is_found_though_others_are_nearer_when_clean(craft: Craft) -> None:
    setting = Setting(ThreatModel("linf", 0.02), stop_when_fooled=True)
    aimed = craft(APGD(steps=10, targets=3), Wall(), GREY, setting)
    assert (Wall()(aimed.adversarial).argmax(1) == 3).all()
    assert (aimed.passes > 22).all(), "two classes were tried before"


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_with_few_classes_every_wrong_class_is_aimed_at_once(classes: int, craft: Craft) -> None:
    class Robust(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            pixels = images.flatten(1)[:, : classes - 1]
            return torch.cat([torch.full((len(images), 1), 9.0), pixels], 1)

    result = craft(APGD(steps=6, targets=9), Robust(), GREY, Setting(ThreatModel("linf", 0.1), stop_when_fooled=True))
    ranking, at_the_end, nobody_left = 1, 1, 3
    assert (result.passes == (ranking + 7 + at_the_end) * (classes - 1) + nobody_left).all()


@pytest.mark.parametrize("given", [{"targets": 2}, {"loss": "dlr"}])
def test_losses_made_for_untargeted_goals_refuse_others(given: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match="use apgd-ce"):
        APGD(**given).resolved(ThreatModel("linf", 0.1, "next"))


def test_a_wanted_class_is_reached(network: nn.Module, samples: Samples, craft: Craft) -> None:
    wanted = (samples.classes + 1) % 5
    asked = Samples(samples.images, wanted, samples.indices)
    result = craft(APGD(steps=50), network, asked, Setting(ThreatModel("linf", 0.2, "next"), stop_when_fooled=True))
    assert (network(result.adversarial).argmax(1) == wanted).double().mean() > 0.8


def test_eot_averages_what_a_random_model_answers(craft: Craft) -> None:
    class Noisy(Linear):
        def forward(self, images: Tensor) -> Tensor:
            noisy: Tensor = super().forward(images + torch.randn_like(images))
            return noisy

    def reached(eot: int) -> float:
        torch.manual_seed(0)
        result = craft(APGD(steps=20, eot=eot), Noisy(), GREY, Setting(ThreatModel("linf", 0.05)))
        assert (result.passes == 21 * eot).all()
        return margin(Linear()(result.adversarial), GREY.classes).mean().item()

    assert reached(16) >= reached(1)


def test_sparse_signs_are_those_of_the_largest_entries() -> None:
    gradient = torch.tensor([0.1, -0.9, 0.5, 0.0]).view(1, 1, 2, 2)
    assert sparse_sign(gradient, torch.tensor([0.25])).flatten().tolist() == [0, -1, 0, 0]
    assert sparse_sign(gradient, torch.tensor([0.5])).flatten().tolist() == [0, -0.5, 0.5, 0]
