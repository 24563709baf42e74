"""CW finds the smallest perturbation: closed forms on linear models, a plain version for one sample, and foolbox's."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import pytest
import torch
from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
from foolbox.criteria import Misclassification, TargetedMisclassification
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from harness.attacks import ATTACKS, PRESETS, Crafted, Model, Samples, Setting
from harness.attacks.cw_search import adam, bracket, to_hidden, to_pixels
from harness.core.balls import L2Ball
from harness.core.losses import margin
from harness.core.threat import Goal, ThreatModel

Craft = Callable[..., Crafted]

WIDE = ThreatModel("l2", 10.0)
"""No point is brought back into this ball."""

FAST: dict[str, Any] = {"steps": 40, "learning_rate": 0.04, "binary_search_steps": 5, "initial_constant": 3.0}


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def linear(weights: Tensor, biases: tuple[float, ...]) -> nn.Sequential:
    """Logits W x + b."""
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(torch.tensor(biases))
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def second_choice(network: nn.Module, samples: Samples) -> Tensor:
    logits: Tensor = network(samples.images)
    return logits.topk(2).indices[:, 1]


def distances(samples: Samples, result: Crafted) -> Tensor:
    return L2Ball(1.0).distance(samples.pixels(torch.arange(len(samples))), result.adversarial)


# --- the parts -------------------------------------------------------------------------------------------------


def test_hidden_variables_stand_for_pixels_and_are_finite_at_the_ends_of_the_range() -> None:
    pixels = torch.cat([noise(0, 50), torch.tensor([0.0, 1.0, 0.5])])
    hidden = to_hidden(pixels)
    assert hidden.isfinite().all()
    torch.testing.assert_close(to_pixels(hidden), pixels, rtol=0, atol=1e-6)
    assert (to_pixels(1e3 * hidden) >= 0).all()
    assert (to_pixels(1e3 * hidden) <= 1).all()


def test_the_slope_of_a_pixel_is_twice_its_distances_from_both_ends() -> None:
    hidden = (10 * noise(0, 50) - 5).double().requires_grad_()
    pixels = to_pixels(hidden)
    (slope,) = torch.autograd.grad(pixels.sum(), hidden)
    torch.testing.assert_close(slope, (2 * pixels * (1 - pixels)).detach())


def test_adam_is_torchs_own_for_samples_at_different_steps() -> None:
    gradients = noise(0, 5, 2, 1, 3, 3) - 0.5
    late = [0, 2]
    """After how many steps a sample joins."""
    first, second = torch.zeros(2, 2, 1, 3, 3)
    moved, steps = torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64)
    for time, gradient in enumerate(gradients):
        here = torch.tensor([time >= start for start in late]).view(2, 1, 1, 1)
        steps = steps + here.flatten()
        descent, new_first, new_second = adam(gradient, first, second, steps.clamp_min(1))
        first, second = torch.where(here, new_first, first), torch.where(here, new_second, second)
        moved = moved - 0.1 * torch.where(here, descent, 0.0)
    for row, start in enumerate(late):
        variable = torch.zeros(1, 3, 3, requires_grad=True)
        optimiser = torch.optim.Adam([variable], lr=0.1)
        for gradient in gradients[start:, row]:
            variable.grad = gradient.clone()
            optimiser.step()
        torch.testing.assert_close(moved[row], variable.detach())


def test_the_constant_grows_tenfold_until_something_is_found_and_is_bisected_from_then_on() -> None:
    # Found from 0.7 on, and never.
    constant, lower, upper = torch.tensor([0.01, 0.01]), torch.zeros(2), torch.full((2,), inf)
    seen = []
    for _ in range(6):
        seen.append(constant.tolist())
        found = (constant >= 0.7) & torch.tensor([True, False])
        constant, lower, upper = bracket(constant, lower, upper, found)
    first, second = zip(*seen, strict=True)
    assert first == pytest.approx([0.01, 0.1, 1.0, 0.55, 0.775, 0.6625])
    assert second == pytest.approx([0.01, 0.1, 1.0, 10.0, 100.0, 1000.0])
    assert (lower[0].item(), upper[0].item()) == pytest.approx((0.6625, 0.775))
    assert upper[1] == inf
    for _ in range(40):
        constant, lower, upper = bracket(constant, lower, upper, torch.tensor([False, False]))
    assert constant[1] == 1e10, "a growing constant stays finite"


# --- closed forms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", ["untargeted", "next"])
@pytest.mark.parametrize("confidence", [0.0, 0.25])
def test_on_a_linear_model_the_distance_tends_to_the_margin_over_the_length_of_the_weights(
    confidence: float, goal: Goal, craft: Craft
) -> None:
    weights = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    model, images = linear(weights, (0.0, 0.3)), 0.4 + 0.2 * noise(1, 6, 1, 4, 4)
    classes = model(images).argmax(1)
    asked = Samples(images, classes if goal == "untargeted" else 1 - classes, torch.arange(6))
    lead = margin(model(images), asked.classes).abs()
    shortest = (lead + confidence) / (weights[1] - weights[0]).norm()
    attack = ATTACKS.get("cw")(confidence=confidence, steps=100, learning_rate=0.02)
    result = craft(attack, model, asked, Setting(ThreatModel("l2", 10.0, goal)))
    found = distances(asked, result)
    assert (found > shortest * (1 - 1e-3)).all(), "nothing nearer fools with this confidence"
    torch.testing.assert_close(found, shortest.double(), rtol=0.01, atol=0)
    assert (model(result.adversarial).argmax(1) == 1 - classes).all()


def test_between_many_classes_it_goes_to_the_nearest_boundary(craft: Craft) -> None:
    weights = torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
    model, images = linear(weights, (0.0, 0.1, 0.2, 0.3)), 0.4 + 0.2 * noise(2, 8, 1, 4, 4)
    logits = model(images)
    classes = logits.argmax(1)
    away = (logits.gather(1, classes[:, None]) - logits) / (weights[classes][:, None] - weights).norm(dim=2)
    nearest = away.scatter(1, classes[:, None], inf).amin(1)
    asked = Samples(images, classes, torch.arange(8))
    found = distances(asked, craft(ATTACKS.get("cw")(steps=100, learning_rate=0.02), model, asked, Setting(WIDE)))
    assert (found > nearest * (1 - 1e-3)).all()
    torch.testing.assert_close(found, nearest.double(), rtol=0.03, atol=0)


@pytest.mark.parametrize("colour", [0.0, 1.0])
def test_pixels_at_either_end_of_the_range_move(colour: float, craft: Craft) -> None:
    # torchattacks' CW starts there at an infinite variable, and never moves.
    inwards = 1 - 2 * colour
    weights = inwards * torch.tensor([[0.0] * 4, [2.0, 1.0, 1.0, -1.0]])
    images = torch.full((1, 1, 2, 2), colour)
    model = linear(weights, (0.6 + (weights[1] * colour).sum().item(), 0.0))
    asked = Samples(images, torch.tensor([0]), torch.tensor([0]))
    result = craft(ATTACKS.get("cw")(learning_rate=0.1, steps=200), model, asked, Setting(WIDE))
    assert model(result.adversarial).argmax(1) == 1
    # The last pixel would have to leave the range; the others share 0.6 in proportion to their weights.
    expected = 0.6 * torch.tensor([2.0, 1.0, 1.0, 0.0]) / 6
    torch.testing.assert_close(inwards * (result.adversarial - images).flatten(), expected, rtol=0, atol=0.02)


def test_logits_that_are_all_negative_are_no_different(craft: Craft) -> None:
    weights = torch.randn(3, 16, generator=torch.Generator().manual_seed(4))
    images = 0.3 + 0.4 * noise(5, 4, 1, 4, 4)
    usual, shifted = linear(weights, (0.0, 0.0, 0.0)), linear(weights, (-64.0, -64.0, -64.0))
    asked = Samples(images, usual(images).argmax(1), torch.arange(4))
    first, second = (
        distances(asked, craft(ATTACKS.get("cw")(**FAST), model, asked, Setting(WIDE))) for model in (usual, shifted)
    )
    assert (first > 0.01).all()
    torch.testing.assert_close(first, second, rtol=1e-2, atol=0)


# --- a plain version -------------------------------------------------------------------------------------------


class Plain(NamedTuple):
    adversarial: Tensor
    distance: float
    passes: int
    constants: list[float]


def plain_cw(
    model: Model, image: Tensor, label: Tensor, sign: int, stop_inside: float = 0.0, abort_early: bool = True
) -> Plain:
    """The attack on one image (1, C, H, W), with torch's Adam and derivatives, and a bisection in Python."""
    steps, trials, rate = FAST["steps"], FAST["binary_search_steps"], FAST["learning_rate"]
    constant, lower, upper = FAST["initial_constant"], 0.0, inf
    best, shortest, passes, constants = image, inf, 0, []
    start = torch.atanh(0.999999 * (2 * image - 1))
    clean = (start.tanh() + 1) / 2
    for _ in range(trials):
        constants.append(constant)
        hidden, found, before = start.clone().requires_grad_(), False, inf
        optimiser = torch.optim.Adam([hidden], lr=rate)
        for step in range(steps):
            point = (hidden.tanh() + 1) / 2
            lead = sign * margin(model(point), label)
            objective = ((point - clean) ** 2).sum() + constant * (-lead).clamp_min(0).sum()
            passes += 1
            distance = (point - image).detach().norm().item()
            if lead > 0 and distance <= stop_inside:
                return Plain(point.detach(), distance, passes, constants)
            if lead > 0 and distance < shortest:
                best, shortest = point.detach(), distance
            found |= bool(lead > 0)
            if step % (steps // 10) == 0:
                if abort_early and not objective.item() <= 0.9999 * before:
                    break
                before = objective.item()
            optimiser.zero_grad()
            objective.backward()
            optimiser.step()
        lower, upper = (lower, constant) if found else (constant, upper)
        constant = (lower + upper) / 2 if upper < inf else 10 * constant
    return Plain(best, shortest, passes, constants)


@pytest.mark.parametrize("goal", ["untargeted", "next"])
@pytest.mark.parametrize("abort_early", [True, False])
def test_every_sample_gets_what_the_plain_attack_on_it_alone_gets(
    abort_early: bool, goal: Goal, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    sign = 1 if goal == "untargeted" else -1
    asked = samples if sign == 1 else Samples(samples.images, second_choice(network, samples), samples.indices)
    attack = ATTACKS.get("cw")(**FAST, abort_early=abort_early)
    asked = asked.take(torch.arange(0, 8, 2))
    result = craft(attack, network, asked, Setting(ThreatModel("l2", 10.0, goal), batch_size=3))
    plain = [
        plain_cw(network, asked.images[i : i + 1], asked.classes[i : i + 1], sign, abort_early=abort_early)
        for i in range(4)
    ]
    assert len({tuple(one.constants) for one in plain}) > 1, "samples search in different brackets"
    assert any(a > b < c for one in plain for a, b, c in zip(*(one.constants[i:] for i in range(3)), strict=False)), (
        "and some fail after they have found something"
    )
    assert all(one.distance < inf for one in plain)
    torch.testing.assert_close(
        distances(asked, result), torch.tensor([one.distance for one in plain]).double(), rtol=1e-3, atol=0
    )
    torch.testing.assert_close(result.adversarial, torch.cat([one.adversarial for one in plain]), rtol=0, atol=1e-3)
    assert result.passes.tolist() == [one.passes for one in plain]
    if abort_early:
        assert len(set(result.passes.tolist())) > 1, "trials end for one sample and not for another"


def test_a_sample_that_may_stop_is_done_at_its_first_point_that_fools_inside_the_ball(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    plain = [plain_cw(network, samples.images[i : i + 1], samples.classes[i : i + 1], 1) for i in range(8)]
    epsilon = sorted(one.distance for one in plain)[4] * 1.05
    setting = Setting(ThreatModel("l2", epsilon), batch_size=3, stop_when_fooled=True)
    result = craft(ATTACKS.get("cw")(**FAST), network, samples, setting)
    expected = [
        plain_cw(network, samples.images[i : i + 1], samples.classes[i : i + 1], 1, stop_inside=epsilon)
        for i in range(8)
    ]
    inside = torch.tensor([one.distance <= epsilon for one in expected])
    assert inside.any()
    assert not inside.all()
    assert result.passes.tolist() == [one.passes for one in expected]
    assert (result.passes[inside] < result.passes[~inside].min()).all()
    torch.testing.assert_close(
        result.adversarial[inside],
        torch.cat([one.adversarial for one in expected])[inside],
        rtol=0,
        atol=1e-3,
    )
    assert (margin(network(result.adversarial), samples.classes)[inside] > 0).all()


# --- foolbox ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", ["untargeted", "next"])
def test_distances_are_those_of_foolbox(goal: Goal, network: nn.Module, samples: Samples, craft: Craft) -> None:
    wanted = second_choice(network, samples)
    criterion = Misclassification(samples.classes) if goal == "untargeted" else TargetedMisclassification(wanted)
    asked = Samples(samples.images, samples.classes if goal == "untargeted" else wanted, samples.indices)
    reference = L2CarliniWagnerAttack(
        binary_search_steps=5, steps=40, stepsize=0.04, initial_const=3.0, abort_early=False
    )
    theirs = reference.run(PyTorchModel(network, bounds=(0, 1), device="cpu"), samples.images, criterion)
    setting = Setting(ThreatModel("l2", 10.0, goal))
    ours = distances(asked, craft(ATTACKS.get("cw")(**FAST, abort_early=False), network, asked, setting))
    torch.testing.assert_close(ours, L2Ball(1.0).distance(samples.images, theirs), rtol=0.02, atol=0)


# --- promises --------------------------------------------------------------------------------------------------


def test_points_outside_the_ball_are_brought_into_it(network: nn.Module, samples: Samples, craft: Craft) -> None:
    far = craft(ATTACKS.get("cw")(**FAST), network, samples, Setting(WIDE))
    epsilon = 0.5 * distances(samples, far).min().item()
    for stop_when_fooled in (False, True):
        setting = Setting(ThreatModel("l2", epsilon), stop_when_fooled=stop_when_fooled)
        near = craft(ATTACKS.get("cw")(**FAST), network, samples, setting)
        expected = L2Ball(epsilon).project(samples.images, far.adversarial)
        torch.testing.assert_close(near.adversarial, expected, rtol=0, atol=1e-6)
        assert (distances(samples, near) <= epsilon * (1 + 1e-6)).all()
        assert torch.equal(near.passes, far.passes)


def test_where_nothing_is_found_the_last_point_is_proposed(network: nn.Module, samples: Samples, craft: Craft) -> None:
    attack = ATTACKS.get("cw")(steps=3, binary_search_steps=1, learning_rate=0.001, abort_early=False)
    result = craft(attack, network, samples, Setting(WIDE))
    assert (margin(network(result.adversarial), samples.classes) <= 0).all()
    assert (
        margin(network(result.adversarial), samples.classes) > margin(network(samples.images), samples.classes)
    ).all()


@pytest.mark.parametrize("stop_when_fooled", [False, True])
def test_batch_size_and_order_and_company_change_nothing(
    stop_when_fooled: bool, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    attack = ATTACKS.get("cw")(**{**FAST, "steps": 20})

    def run(some: Samples, batch_size: int) -> Crafted:
        setting = Setting(ThreatModel("l2", 0.5), batch_size=batch_size, stop_when_fooled=stop_when_fooled)
        return craft(attack, network, some, setting)

    together = run(samples, 64)
    assert len(set(together.passes.tolist())) > 1
    order = torch.tensor([6, 1, 4, 0, 7, 2, 5, 3])
    for rows, batch_size in ((torch.arange(8), 1), (torch.arange(8), 3), (order, 3), (order[:5], 2)):
        result = run(samples.take(rows), batch_size)
        torch.testing.assert_close(result.adversarial, together.adversarial[rows], rtol=0, atol=1e-4)
        assert torch.equal(result.passes, together.passes[rows])
        assert torch.equal(result.zero_gradient, together.zero_gradient[rows])


def test_the_slack_is_led_by_and_never_less_than_the_confidence(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    for slack, confidence in ((0.2, 0.0), (0.0, 0.2), (0.2, 0.1)):
        attack = ATTACKS.get("cw")(**FAST, confidence=confidence)
        result = craft(attack, network, samples, Setting(WIDE, slack=slack))
        lead = margin(network(result.adversarial), samples.classes)
        assert (lead > 0.2).all()
        assert (lead < 0.29).all()


class Broken(nn.Module):
    """A network that hides its gradient, or gives bright images logits that are not numbers or infinite."""

    def __init__(self, network: nn.Module, how: str) -> None:
        super().__init__()
        self.network, self.how = network, how

    def forward(self, images: Tensor) -> Tensor:
        if self.how == "detached":
            return self.network(images.detach())  # type: ignore[no-any-return]
        logits: Tensor = self.network(images)
        bright = images.flatten(1).mean(1) > 0.5
        bad = torch.full_like(logits, torch.nan) if self.how == "NaN" else torch.tensor([0.0, 0, 0, 0, torch.inf])
        return torch.where(bright[:, None], bad, logits)


def test_a_model_without_gradients_is_flagged_and_its_images_stay(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    result = craft(ATTACKS.get("cw")(**FAST), Broken(network, "detached"), samples, Setting(WIDE))
    assert result.zero_gradient.all()
    torch.testing.assert_close(result.adversarial, samples.images, rtol=0, atol=2e-6)


@pytest.mark.parametrize("stop_when_fooled", [False, True])
@pytest.mark.parametrize("how", ["NaN", "infinite"])
def test_logits_that_are_not_finite_fool_nobody_and_disturb_nobody(
    how: str, stop_when_fooled: bool, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    images = samples.images.clone()
    images[::2] = images[::2] * 0.9
    asked = Samples(images, network(images).argmax(1), samples.indices)
    bright = images.flatten(1).mean(1) > 0.5
    assert bright.any()
    assert not bright.all()
    setting = Setting(ThreatModel("l2", 0.5), stop_when_fooled=stop_when_fooled)
    model = Broken(network, how)
    result = craft(ATTACKS.get("cw")(**FAST), model, asked, setting)
    assert result.adversarial.isfinite().all()
    alone = craft(ATTACKS.get("cw")(**FAST), model, asked.take((~bright).nonzero()[:, 0]), setting)
    torch.testing.assert_close(result.adversarial[~bright], alone.adversarial, rtol=0, atol=1e-4)
    assert (distances(asked, result)[bright] < 1e-4).all(), "nothing is known about where to go"
    if stop_when_fooled:
        assert (result.passes[bright] > 1).all(), "nobody is fooled by such an answer"


def test_the_price_is_a_pass_per_step_and_trial(network: nn.Module, samples: Samples, craft: Craft) -> None:
    attack = ATTACKS.get("cw")(steps=4, binary_search_steps=3, abort_early=False)
    assert attack.cost(Setting(WIDE)) == 12
    assert craft(attack, network, samples, Setting(WIDE)).passes.tolist() == [12] * 8
    assert ATTACKS.get("cw")().cost(Setting(WIDE)) == 9000


def test_the_preset_holds_the_numbers_of_the_paper() -> None:
    # 3 x 10 iterations, rate eps / 10 with eps 0.02, c 0.01.
    expected = {"steps": 10, "binary_search_steps": 3, "learning_rate": 0.02 / 10, "initial_constant": 0.01}
    assert PRESETS["cw"]["awais2020"] == pytest.approx(expected)
