"""FAB finds the distances that are known, spends what it says, and stays calm where models are broken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import get_args

import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Samples, Setting, fooled
from harness.attacks.boundary import Boundary, nearest_boundary
from harness.attacks.crossing import biased_step
from harness.attacks.fab import FAB
from harness.attacks.hyperplane import dual_length
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.losses import margin
from harness.core.threat import Norm, ThreatModel

Craft = Callable[..., Crafted]

NORMS = get_args(Norm)
TINY_BUDGET = 1e-4
"""Within which nothing is fooled."""


def linear(classes: int) -> nn.Sequential:
    """Images (N, 1, 4, 4) to logits W (x - 1/2) + b, with random W and small b."""
    layer = nn.Linear(16, classes)
    generator = torch.Generator().manual_seed(classes)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        layer.bias.copy_(0.3 * torch.randn(classes, generator=generator) - layer.weight.sum(1) / 2)
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def as_predicted(model: nn.Module, images: Tensor) -> Samples:
    return Samples(images, model(images).argmax(1), torch.arange(len(images)))


def known_distances(model: nn.Sequential, samples: Samples, norm: Norm, slack: float = 0.0) -> Tensor:
    """(N, K - 1) distances to the boundaries of a linear model, by descending logit, range not regarded."""
    layer, logits = model[1], model(samples.images)
    assert isinstance(layer, nn.Linear)
    others = logits.argsort(1, descending=True)[:, 1:]
    gaps = logits.gather(1, samples.classes[:, None]) - logits.gather(1, others) + slack
    distances: Tensor = gaps.double() / dual_length(layer.weight[others] - layer.weight[samples.classes][:, None], norm)
    return distances


@pytest.mark.parametrize("attack", [FAB(steps=20), FAB(steps=20, targets=9)], ids=["fab", "fab-t"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_distances_of_a_linear_model_are_margins_over_dual_norms(classes: int, norm: Norm, attack: FAB) -> None:
    model = linear(classes)
    images = 0.5 + 0.04 * torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    samples = as_predicted(model, images)
    expected = known_distances(model, samples, norm).amin(1)
    found = attack.distances(model, samples, Setting(ThreatModel(norm, TINY_BUDGET)))
    assert (found >= expected * (1 - 1e-5)).all()
    assert (found <= expected * 1.01).all()


@pytest.mark.parametrize("norm", NORMS)
def test_distances_are_right_where_pixels_reach_the_end_of_the_range(norm: Norm) -> None:
    model = linear(2)
    layer = model[1]
    assert isinstance(layer, nn.Linear)
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1)).round() * 0.96 + 0.02
    samples = as_predicted(model, images)
    normal = (layer.weight[1] - layer.weight[0]).double()
    gaps = (model(images)[:, 0] - model(images)[:, 1]).double()
    expected = []
    for point, gap in zip(images.flatten(1).double(), gaps.tolist(), strict=True):
        if norm == "l2":
            expected.append(_clipped_l2(point, normal, gap))
            continue
        each, one = torch.eye(16).double(), torch.ones(16, 1 if norm == "linf" else 16).double()
        bound = one if norm == "linf" else each
        sides = torch.cat([torch.cat([each, -bound], 1), torch.cat([-each, -bound], 1)])
        size = bound.shape[1]
        bounds = [*zip((-point).tolist(), (1 - point).tolist(), strict=True), *[(0, None)] * size]
        cost, equal = [0] * 16 + [1] * size, [[*normal.tolist(), *[0] * size]]
        expected.append(linprog(cost, sides.numpy(), [0] * 32, equal, [gap], bounds).fun)
    found = FAB(steps=20).distances(model, samples, Setting(ThreatModel(norm, TINY_BUDGET)))
    ratio = found / torch.tensor(expected).double()
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < 1.01
    assert (torch.tensor(expected) > known_distances(model, samples, norm)[:, 0] * 1.05).any(), "the range matters"


def _clipped_l2(point: Tensor, normal: Tensor, gap: float) -> float:
    """By halving the multiplier of the clipped line along the normal."""
    low, high = -10.0, 10.0
    for _ in range(80):
        middle = (low + high) / 2
        moved = (point + middle * normal).clamp(0, 1) - point
        low, high = (middle, high) if float(normal @ moved) < gap else (low, middle)
    return float(moved.norm())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("alpha_max", "expected"), [(0.0, 0.505), (0.1, 0.506), (1.0, 0.5075)])
def test_a_step_leans_towards_the_clean_image_by_the_share_of_its_lengths(
    alpha_max: float, expected: float, norm: Norm
) -> None:
    # On a line: the clean image at 0.2, the point at 0.4, the boundary at 0.5. The share is 0.1 / (0.1 + 0.3).
    clean, point = torch.full((1, 1, 1, 1), 0.2), torch.tensor([[0.4]])
    boundary = Boundary(point, torch.tensor([[-0.3]]), torch.tensor([[3.0]]), torch.zeros(1, 2))
    assert biased_step(clean, boundary, norm, alpha_max, 1.05).item() == pytest.approx(expected, rel=1e-5)


class Corner(nn.Module):
    """Images (N, 1, 1, 2): class 1 where one of two linear functions is positive, a boundary with a corner."""

    def forward(self, images: Tensor) -> Tensor:
        x, y = images.flatten(1).T
        lead = torch.maximum(2 * x - 1.5, 1.3 * y + 0.4 * x - 0.9)
        return torch.stack([torch.zeros_like(lead), lead], 1)


@pytest.mark.parametrize("norm", NORMS)
def test_the_nearest_point_of_a_boundary_with_a_corner_is_found(norm: Norm) -> None:
    starts = torch.tensor([[0.1, 0.3], [0.6, 0.2], [0.5, 0.4], [0.7, 0.1], [0.0, 0.0]]).view(5, 1, 1, 2)
    samples = as_predicted(Corner(), starts)
    ticks = torch.linspace(0, 1, 801)
    grid = torch.cartesian_prod(ticks, ticks).view(-1, 1, 1, 2)
    across = grid[Corner()(grid).argmax(1) == 1]
    ball = ball_of(ThreatModel(norm, 1.0))
    nearest = torch.stack([ball.distance(start.expand_as(across), across).min() for start in starts])
    found = FAB(steps=30).distances(Corner(), samples, Setting(ThreatModel(norm, 0.1)))
    assert (found > nearest - 0.005).all()
    assert (found < nearest * 1.01 + 0.001).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_sample_is_fooled_exactly_within_its_distance(norm: Norm, craft: Craft) -> None:
    model = linear(5)
    samples = as_predicted(model, 0.5 + 0.04 * torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(3)))
    distance = known_distances(model, samples, norm).min().item()
    for epsilon, success in ((0.99 * distance, False), (1.02 * distance, True)):
        setting = Setting(ThreatModel(norm, epsilon), stop_when_fooled=True)
        result = craft(FAB(steps=15), model, samples, setting)
        assert ball_of(setting.threat).distance(samples.images, result.adversarial) <= epsilon * (1 + 1e-5)
        assert bool(fooled(model(result.adversarial), samples.classes, setting.threat)) is success


def test_a_success_must_lead_by_the_slack_and_its_distance_says_so() -> None:
    model = linear(3)
    images = 0.5 + 0.04 * torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    samples = as_predicted(model, images)
    expected = known_distances(model, samples, "l2", slack=0.05).amin(1)
    found = FAB(steps=20).distances(model, samples, Setting(ThreatModel("l2", TINY_BUDGET), slack=0.05))
    assert (found >= expected * (1 - 1e-5)).all()
    assert (found <= expected * 1.01).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_success_outside_the_ball_is_brought_into_it(norm: Norm, craft: Craft, grey: Tensor) -> None:
    model, setting = linear(2), Setting(ThreatModel(norm, 0.01))
    result = craft(FAB(steps=5), model, as_predicted(model, grey), setting)
    away = ball_of(setting.threat).distance(grey, result.adversarial)
    torch.testing.assert_close(away, torch.full((4,), 0.01).double(), rtol=1e-4, atol=0)
    assert (margin(model(result.adversarial), model(grey).argmax(1)) > margin(model(grey), model(grey).argmax(1))).all()


@pytest.mark.parametrize(("classes", "aims"), [(2, 1), (3, 2), (5, 4), (12, 9)])
def test_survivors_pay_two_passes_per_step_and_class_aimed_at(
    classes: int, aims: int, craft: Craft, grey: Tensor
) -> None:
    model, setting = linear(classes), Setting(ThreatModel("linf", TINY_BUDGET), stop_when_fooled=True)
    result = craft(ATTACKS.get("fab-t")(steps=3), model, as_predicted(model, grey), setting)
    assert result.passes.tolist() == [1 + 3 * 2 * aims] * 4
    assert ATTACKS.get("fab-t")(steps=3).cost(replace(setting, classes=classes)) == 1 + 3 * 2 * aims
    result = craft(ATTACKS.get("fab")(steps=3), model, as_predicted(model, grey), setting)
    assert result.passes.tolist() == [1 + 3 * classes] * 4
    assert ATTACKS.get("fab")(steps=3).cost(replace(setting, classes=classes)) == 1 + 3 * classes


def test_all_restarts_of_a_class_come_before_the_next_class(
    craft: Craft, grey: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, setting = linear(5), Setting(ThreatModel("l2", TINY_BUDGET))
    aimed, points = [], []

    def spy(model: nn.Module, images: Tensor, classes: Tensor, rivals: Tensor, *others: object) -> object:
        aimed.append(rivals.flatten().tolist())
        points.append(images)
        return nearest_boundary(model, images, classes, rivals, *others)  # type: ignore[arg-type]

    monkeypatch.setattr("harness.attacks.fab.nearest_boundary", spy)
    craft(FAB(steps=2, restarts=2, targets=3), model, as_predicted(model, grey[:1]), setting)
    order = model(grey[:1]).argsort(1, descending=True)[0, 1:].tolist()
    assert aimed == [[order[run // 2]] for run in range(6) for _ in range(2)]
    starts = points[::2]
    for run, start in enumerate(starts):
        away = (start - grey[:1]).norm().item()
        assert away == pytest.approx(0.0 if run % 2 == 0 else TINY_BUDGET / 2, rel=1e-2)
    assert not torch.equal(starts[1], starts[3])


def test_restarts_find_what_the_clean_image_does_not_see_and_keep_the_nearest() -> None:
    def model(images: Tensor) -> Tensor:
        x, y = images.flatten(1).T
        lead = torch.maximum(x - 0.9, 5 * (y - 0.6))
        return torch.stack([torch.zeros_like(lead), lead], 1)

    samples = Samples(torch.full((5, 1, 1, 2), 0.5), torch.zeros(5, dtype=torch.int64), 7 * torch.arange(5))
    setting = Setting(ThreatModel("l2", 1.0))
    found = [FAB(steps=10, restarts=restarts).distances(model, samples, setting) for restarts in (1, 2, 4, 8)]
    torch.testing.assert_close(found[0], torch.full((5,), 0.4).double(), rtol=0.01, atol=0)
    torch.testing.assert_close(found[-1], torch.full((5,), 0.1).double(), rtol=0.02, atol=0)
    for fewer, more in pairwise(found):
        assert (more <= fewer).all()


def test_results_with_restarts_do_not_depend_on_slots_or_order(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    exact = copy.deepcopy(network).double()

    def model(images: Tensor) -> Tensor:
        logits: Tensor = exact(images.double())
        return logits.float()

    attack, threat = FAB(steps=4, restarts=2, targets=2), ThreatModel("linf", 0.5 / 255)
    whole = craft(attack, model, samples, Setting(threat, stop_when_fooled=True))
    assert len(whole.passes.unique()) > 1, "samples finish at different times"
    order = torch.tensor([5, 2, 7, 0, 1, 6, 4, 3])
    for batch_size in (1, 3):
        part = craft(attack, model, samples.take(order), Setting(threat, batch_size=batch_size, stop_when_fooled=True))
        torch.testing.assert_close(part.adversarial, whole.adversarial[order], rtol=0, atol=1e-6)
        assert torch.equal(part.passes, whole.passes[order])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fab", "fab-t"])
def test_images_at_the_ends_of_the_range_stay_in_it_and_are_found(name: str, norm: Norm, craft: Craft) -> None:
    model, setting = linear(3), Setting(ThreatModel(norm, 0.5))
    for image in (torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.25)):
        samples = as_predicted(model, image)
        result = craft(ATTACKS.get(name)(steps=10, restarts=2), model, samples, setting)
        assert result.adversarial.min() >= 0
        assert result.adversarial.max() <= 1
        assert ball_of(setting.threat).distance(image, result.adversarial) <= 0.5 * (1 + 1e-6)
        assert (result.adversarial != image).any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("attack", [FAB(3, restarts=2), FAB(3, restarts=2, targets=9)], ids=["fab", "fab-t"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0])
def test_models_without_numbers_or_gradients_are_never_fooled(
    value: float, attack: FAB, norm: Norm, craft: Craft, grey: Tensor
) -> None:
    def model(images: Tensor) -> Tensor:
        return value * images.flatten(1)[:, :3]

    samples = Samples(grey, torch.zeros(4, dtype=torch.int64), torch.arange(4))
    setting = Setting(ThreatModel(norm, 0.1), stop_when_fooled=True)
    result = craft(attack, model, samples, setting)
    assert result.adversarial.isfinite().all()
    assert ball_of(setting.threat).distance(grey, result.adversarial).max() <= 0.1 * (1 + 1e-6)
    assert result.zero_gradient.all()
    assert (attack.distances(model, samples, setting) == inf).all()


def test_a_model_that_breaks_on_the_way_keeps_what_was_found(craft: Craft, grey: Tensor) -> None:
    plain, calls = linear(3), []

    def model(images: Tensor) -> Tensor:
        calls.append(len(images))
        logits: Tensor = plain(images)
        return logits if len(calls) <= 3 else torch.full_like(logits, torch.nan)

    samples, setting = as_predicted(plain, grey), Setting(ThreatModel("l2", 10.0))
    result = craft(FAB(steps=5), model, samples, setting)
    assert fooled(plain(result.adversarial), samples.classes, setting.threat).all()


def test_misclassified_images_are_at_distance_zero_and_done_at_once(craft: Craft, grey: Tensor) -> None:
    model = linear(3)
    samples = as_predicted(model, grey)
    wrong = Samples(grey, (samples.classes + 1) % 3, samples.indices)
    setting = Setting(ThreatModel("l2", 0.1), stop_when_fooled=True)
    assert (FAB(steps=3).distances(model, wrong, setting) == 0).all()
    result = craft(FAB(steps=100, targets=2, restarts=3), model, wrong, setting)
    assert torch.equal(result.adversarial, grey)
    assert (result.passes == 3).all()


@pytest.mark.parametrize("name", ["fab", "fab-t"])
def test_targeted_goals_are_refused(name: str) -> None:
    with pytest.raises(HarnessError, match='made for the goal "untargeted"; use'):
        ATTACKS.get(name)().resolved(ThreatModel("linf", 0.1, "next"))
