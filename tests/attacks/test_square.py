"""Square: what it asks the model, what it keeps, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Model, Samples, Setting
from harness.attacks.square import Square, halvings
from harness.core.balls import ball_of
from harness.core.losses import margin
from harness.core.threat import Goal, Norm, ThreatModel

Craft = Callable[..., Crafted]

EPSILONS: dict[Norm, float] = {"linf": 16 / 255, "l2": 1.0, "l1": 8.0}
HARD: dict[Norm, float] = {"linf": 4 / 255, "l2": 0.25, "l1": 2.0}
"""Where some samples of the network need many queries."""


@dataclass
class Asked:
    """A model that remembers what it was asked and what it said."""

    model: Model
    images: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)

    def __call__(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.images.append(images.clone())
        self.logits.append(self.model(images))
        return self.logits[-1].clone()


def wanted(samples: Samples, goal: Goal) -> Samples:
    return samples if goal == "untargeted" else Samples(samples.images, (samples.classes + 1) % 5, samples.indices)


def test_the_share_is_halved_as_often_as_the_paper_says() -> None:
    proposals = [0, 10, 11, 50, 51, 200, 201, 500, 501, 1000, 1001, 2000, 2001, 4000, 4001, 6000, 6001, 8000, 8001]
    expected = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9]
    assert halvings(torch.tensor(proposals), 5000, rescale=False).tolist() == expected


def test_a_rescaled_schedule_takes_place_within_the_queries() -> None:
    proposals = torch.tensor([0, 1, 2, 3, 5, 6, 10, 11, 20, 21, 40, 41, 80, 81, 99])
    assert halvings(proposals, 100, rescale=True).tolist() == [0, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 9]
    assert halvings(torch.tensor([8000, 8001]), 10_000, rescale=True).tolist() == [8, 9]


def test_proposals_have_the_sides_of_the_schedule(samples: Samples, craft: Craft) -> None:
    # Nothing ever raises the loss, so that every proposal changes the first points.
    asked = Asked(lambda images: torch.zeros(len(images), 5))
    craft(Square(queries=53), asked, samples, Setting(ThreatModel("linf", 8 / 255)))
    changed_rows = [(images != asked.images[0]).any(1).any(2).sum(1).unique().tolist() for images in asked.images[1:]]
    assert changed_rows == [[14]] * 11 + [[10]] * 40 + [[7]] * 2


@pytest.mark.parametrize("norm", EPSILONS)
def test_every_query_lies_in_the_ball_and_in_the_range_and_changes_one_window(
    norm: Norm, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    asked, threat = Asked(network), ThreatModel(norm, EPSILONS[norm])
    result = craft(Square(queries=60), asked, samples, Setting(threat))
    assert len(asked.images) == 61
    assert result.passes.tolist() == [61] * len(samples)
    assert not result.zero_gradient.any()
    ball = ball_of(threat)
    for images in asked.images:
        assert images.min() >= 0
        assert images.max() <= 1
        assert ball.distance(samples.images, images).max() <= ball.epsilon * (1 + 1e-6) + 2**-24
    changed = [(new != old).flatten(1).any(1).double().mean().item() for old, new in pairwise(asked.images)]
    assert min(changed) > 0.5


@pytest.mark.parametrize("goal", ["untargeted", "next"])
@pytest.mark.parametrize("norm", EPSILONS)
def test_where_it_may_not_stop_it_keeps_the_best_of_all_its_queries(
    norm: Norm, goal: Goal, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    asked, samples = Asked(network), wanted(samples, goal)
    result = craft(Square(queries=40), asked, samples, Setting(ThreatModel(norm, EPSILONS[norm], goal)))
    sign = 1 if goal == "untargeted" else -1
    leads = sign * torch.stack([margin(logits, samples.classes) for logits in asked.logits])
    torch.testing.assert_close(sign * margin(network(result.adversarial), samples.classes), leads.amax(0))
    assert (leads.amax(0) > leads[0]).any()


@pytest.mark.parametrize("goal", ["untargeted", "next"])
@pytest.mark.parametrize("norm", HARD)
def test_more_queries_never_fool_fewer_and_never_lower_the_loss(
    norm: Norm, goal: Goal, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    samples, threat = wanted(samples, goal), ThreatModel(norm, HARD[norm], goal)
    sign = 1 if goal == "untargeted" else -1
    leads = [
        sign
        * margin(
            network(craft(Square(queries=queries), network, samples, Setting(threat)).adversarial), samples.classes
        )
        for queries in (1, 5, 20, 80)
    ]
    for fewer, more in pairwise(leads):
        assert (more >= fewer - 1e-6).all()
    assert (leads[-1] > leads[0] + 1e-3).all()


@pytest.mark.parametrize("norm", HARD)
def test_a_fooled_sample_is_done_with_the_query_that_fooled(
    norm: Norm, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    threat = ThreatModel(norm, EPSILONS[norm])
    asked = Asked(network)
    craft(Square(queries=80), asked, samples, Setting(threat))
    hits = torch.stack([margin(logits, samples.classes) > 0 for logits in asked.logits])
    assert hits.any(0).any()
    expected = torch.where(hits.any(0), hits.int().argmax(0) + 1, 81)
    assert len(set(expected.tolist())) > 2
    result = craft(Square(queries=80), network, samples, Setting(threat, stop_when_fooled=True))
    assert result.passes.tolist() == expected.tolist()
    assert torch.equal(margin(network(result.adversarial), samples.classes) > 0, hits.any(0))


@pytest.mark.parametrize("norm", HARD)
def test_slots_and_order_change_nothing(norm: Norm, network: nn.Module, samples: Samples, craft: Craft) -> None:
    threat = ThreatModel(norm, EPSILONS[norm])
    whole = craft(Square(queries=30), network, samples, Setting(threat, stop_when_fooled=True))
    assert len(whole.passes.unique()) > 2
    order = torch.tensor([5, 2, 7, 0, 3, 6, 1, 4])
    for rows, batch_size in ((order, 3), (order[:5], 2)):
        part = craft(
            Square(queries=30),
            network,
            samples.take(rows),
            Setting(threat, batch_size=batch_size, stop_when_fooled=True),
        )
        assert torch.equal(part.passes, whole.passes[rows])
        torch.testing.assert_close(part.adversarial, whole.adversarial[rows], rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", EPSILONS)
def test_samples_draw_windows_of_their_own(norm: Norm, network: nn.Module, samples: Samples, craft: Craft) -> None:
    twins = Samples(samples.images[[0, 0]], samples.classes[[0, 0]], torch.tensor([3, 4]))
    asked = Asked(network)
    craft(Square(queries=10), asked, twins, Setting(ThreatModel(norm, EPSILONS[norm])))
    assert all((images[0] != images[1]).any() for images in asked.images)


def test_a_point_that_fools_is_not_given_up_for_a_larger_loss(samples: Samples, craft: Craft) -> None:
    answers = iter(
        [
            [3.0, 0.0, 0.0],  # right
            [1.0, 1.1, -9.0],  # wrong, cross-entropy 0.74
            [1.0, 0.9, 0.9],  # right, 1.03
            [1.0, 1.05, -9.0],  # wrong, 0.72
        ]
    )
    asked = Asked(lambda images: torch.tensor([next(answers)]))
    one = Samples(samples.images[:1], torch.tensor([0]), torch.tensor([7]))
    result = craft(Square(queries=3, loss="cross-entropy"), asked, one, Setting(ThreatModel("linf", 8 / 255)))
    assert torch.equal(result.adversarial, asked.images[1])


@dataclass
class Edge:
    """Two classes by which half of an image is brighter, on average per pixel; the second leads by `lead` at first."""

    lead: float

    def __call__(self, images: Tensor) -> Tensor:
        left, right = images.chunk(2, dim=3)
        score = (left - right).flatten(1).mean(1)
        return torch.stack([score, torch.full_like(score, self.lead)], dim=1)


def steepest_gain(norm: Norm, epsilon: float, pixels: int) -> float:
    """How much a change in the ball can add to the score: epsilon times the dual norm of the weights, +-2/pixels."""
    dual_norms = {"linf": 2.0, "l2": 2 / sqrt(pixels), "l1": 2 / pixels}
    return epsilon * dual_norms[norm]


@pytest.mark.parametrize("goal", ["untargeted", "next"])
@pytest.mark.parametrize("norm", EPSILONS)
def test_a_linear_model_is_fooled_with_less_than_the_steepest_change(norm: Norm, goal: Goal, craft: Craft) -> None:
    grey = Samples(torch.full((6, 1, 12, 12), 0.5), torch.full((6,), 1 if goal == "untargeted" else 0), torch.arange(6))
    gain, threat = steepest_gain(norm, EPSILONS[norm], 144), ThreatModel(norm, EPSILONS[norm], goal)
    share = {"linf": 0.8, "l2": 0.5, "l1": 0.5}[norm]
    result = craft(Square(queries=300), Edge(share * gain), grey, Setting(threat, stop_when_fooled=True))
    assert (Edge(share * gain)(result.adversarial).argmax(1) == 0).all()
    assert (result.passes > 1).any()
    beyond = craft(Square(queries=30), Edge(1.001 * gain), grey, Setting(threat, stop_when_fooled=True))
    assert (beyond.passes == 31).all()


@pytest.mark.parametrize("norm", EPSILONS)
@pytest.mark.parametrize("shape", [(1, 12, 20), (1, 20, 12), (3, 5, 4), (1, 1, 1)])
def test_images_of_any_shape_are_attacked(norm: Norm, shape: tuple[int, ...], craft: Craft) -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(shape[0], 3)).requires_grad_(False)
    threat = ThreatModel(norm, EPSILONS[norm])
    for images in (torch.zeros(2, *shape), torch.ones(2, *shape), torch.full((1, *shape), 0.5)):
        asked = Samples(images, torch.zeros(len(images), dtype=torch.int64), torch.arange(len(images)))
        adversarial = craft(Square(queries=20), model, asked, Setting(threat)).adversarial
        assert adversarial.isfinite().all()
        assert adversarial.min() >= 0
        assert adversarial.max() <= 1
        assert ball_of(threat).distance(images, adversarial).max() <= threat.epsilon * (1 + 1e-6) + 2**-24


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("norm", EPSILONS)
def test_a_model_without_finite_logits_is_never_fooled(norm: Norm, bad: float, samples: Samples, craft: Craft) -> None:
    def model(images: Tensor) -> Tensor:
        return torch.full((len(images), 5), bad)

    threat = ThreatModel(norm, EPSILONS[norm])
    result = craft(Square(queries=10), model, samples, Setting(threat, stop_when_fooled=True))
    assert (result.passes == 11).all()
    assert result.adversarial.isfinite().all()


def test_queries_without_finite_logits_are_passed_over(network: nn.Module, samples: Samples, craft: Craft) -> None:
    def model(images: Tensor) -> Tensor:
        answers[0] += 1
        logits: Tensor = network(images)
        return logits * torch.nan if answers[0] % 2 else logits

    answers = [0]
    asked = Asked(model)
    result = craft(Square(queries=31), asked, samples, Setting(ThreatModel("linf", 16 / 255)))
    finite = torch.stack([margin(logits, samples.classes) for logits in asked.logits[1::2]])
    torch.testing.assert_close(margin(network(result.adversarial), samples.classes), finite.amax(0))


def test_survivors_meet_other_squares_in_the_next_run(network: nn.Module, samples: Samples, craft: Craft) -> None:
    setting = Setting(ThreatModel("linf", 8 / 255), stop_when_fooled=True)
    once, twice = (craft(Square(queries=10, runs=runs), network, samples, setting) for runs in (1, 2))
    fooled = [margin(network(result.adversarial), samples.classes) > 0 for result in (once, twice)]
    assert torch.equal(twice.passes[fooled[0]], once.passes[fooled[0]])
    assert (twice.passes[~fooled[0]] > 11).all()
    assert (twice.passes <= Square(queries=10, runs=2).cost(setting)).all()
    assert fooled[1].sum() > fooled[0].sum(), "this budget makes restarts worth while"


def test_its_defaults_are_those_of_autoattack() -> None:
    attack = ATTACKS.get("square")()
    assert attack == Square(queries=5000, initial_share=0.8, rescale_schedule=False, runs=1, loss="margin")
    assert attack.cost(Setting(ThreatModel("linf", 8 / 255))) == 5001
    assert attack.norms == {"linf", "l2", "l1"}
    assert attack.resolved(ThreatModel("linf", 8 / 255)) == {}


@pytest.mark.parametrize("name", ["square", "rays"])
def test_scores_and_decisions_are_those_of_the_exact_twin_where_there_is_one(
    name: str, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    def blind(images: Tensor) -> Tensor:
        raise AssertionError("the coarse twin was asked")

    attack = ATTACKS.get(name)(queries=40)
    setting = Setting(ThreatModel("linf", 0.2), seed=3, stop_when_fooled=True)
    expected = craft(attack, network, samples, replace(setting, slack=0.01))
    found = craft(attack, blind, samples, replace(setting, slack=5.0, exact=lambda: (network, 0.01)))
    assert torch.equal(found.adversarial, expected.adversarial)
    assert torch.equal(found.passes, expected.passes)
