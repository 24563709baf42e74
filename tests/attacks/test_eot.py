"""EOT: models that answer at random are asked several times, and the mean counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Samples, Setting
from harness.attacks.input_transforms import ScaleCopies
from harness.attacks.loop import GradientAttack
from harness.attacks.slope import input_gradient
from harness.core.losses import margin
from harness.core.threat import ThreatModel

Craft = Callable[..., Crafted]

LINF = ThreatModel("linf", 0.1)


class TakingTurns(nn.Module):
    """Linear models that answer one after the other."""

    def __init__(self, *weights: Tensor, bias: float = 0.0) -> None:
        super().__init__()
        self.weights, self.bias, self.turn = weights, bias, 0

    def forward(self, images: Tensor) -> Tensor:
        rise = images.flatten(1) @ self.weights[self.turn % len(self.weights)] + self.bias
        self.turn += 1
        return torch.stack([torch.zeros_like(rise), rise], dim=1)


FIRST, SECOND = torch.tensor([1.0, -2.0, 0.5, 0.0]), torch.tensor([-3.0, 1.0, 0.5, 1.0])
GREY = Samples(torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 0]), torch.arange(2))


def test_gradients_and_logits_are_means_over_the_repeats() -> None:
    model = TakingTurns(FIRST, SECOND)
    gradient, logits, losses = input_gradient(model, GREY.images, GREY.classes, margin, repeats=4)
    assert model.turn == 4
    torch.testing.assert_close(gradient, ((FIRST + SECOND) / 2).view(1, 1, 2, 2).expand(2, 1, 2, 2))
    torch.testing.assert_close(logits[:, 1], ((FIRST + SECOND) / 2).sum().expand(2) / 2)
    torch.testing.assert_close(losses, logits[:, 1])
    alone, *_ = input_gradient(TakingTurns(FIRST, SECOND), GREY.images, GREY.classes, margin)
    torch.testing.assert_close(alone[0].flatten(), FIRST)


@pytest.mark.parametrize("name", ["pgd", "cw-pgd"])
def test_a_step_follows_the_mean_gradient(name: str, craft: Craft) -> None:
    loss = {"loss": "margin"} if name == "pgd" else {}
    attack = ATTACKS.get(name)(steps=1, step_size="eps", random_start=False, eot=2, **loss)
    result = craft(attack, TakingTurns(FIRST, SECOND), GREY, Setting(LINF))
    expected = 0.5 + 0.1 * (FIRST + SECOND).sign()
    torch.testing.assert_close(result.adversarial.flatten(1), expected.expand(2, 4))


def test_the_mean_of_the_answers_decides_whether_a_model_is_fooled(craft: Craft) -> None:
    # At 0.5 the first model is fooled by 0.75, the second is not, by 2.75: on average it is not, and one step later
    # neither; without repeats the first answer ends the matter at once.
    up, down = torch.full((4,), 1.0), torch.full((4,), -1.0)
    patient = ATTACKS.get("cw-pgd")(steps=3, step_size="eps", random_start=False, eot=2)
    setting = Setting(LINF, stop_when_fooled=True)
    lenient = TakingTurns(up, down, bias=-0.5)
    assert craft(patient, lenient, GREY, setting).passes.tolist() == [6, 6]
    hasty = ATTACKS.get("cw-pgd")(steps=3, step_size="eps", random_start=False)
    assert craft(hasty, TakingTurns(up, down, bias=-0.5), GREY, setting).passes.tolist() == [1, 1]
    assert craft(patient, TakingTurns(up, down, bias=0.5), GREY, setting).passes.tolist() == [2, 2]


class Dropping(nn.Module):
    """A rising function of 64 pixels, of which a random half is hidden behind a slope the other way."""

    def forward(self, images: Tensor) -> Tensor:
        slopes = torch.where(torch.rand(images.shape) < 0.4, -1.0, 1.0)
        rise = (slopes * images).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(rise), rise], dim=1)


def test_against_a_model_that_answers_at_random_more_repeats_get_further(craft: Craft) -> None:
    asked = Samples(torch.full((8, 1, 8, 8), 0.5), torch.zeros(8, dtype=torch.int64), torch.arange(8))
    heights = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for eot in (1, 5, 40):
            attack = ATTACKS.get("cw-pgd")(steps=1, step_size="eps", random_start=False, eot=eot)
            heights.append((craft(attack, Dropping(), asked, Setting(LINF)).adversarial - 0.5).mean().item())
    # A pixel goes the right way with probability 0.6, 0.68 and 0.9: the binomial majority.
    assert heights == pytest.approx([0.1 * (2 * p - 1) for p in (0.6, 0.683, 0.9)], abs=0.012)


def test_every_repeat_is_a_pass(network: nn.Module, samples: Samples, craft: Craft) -> None:
    attack = ATTACKS.get("pgd")(steps=3, eot=4, restarts=2)
    assert attack.cost(Setting(LINF)) == 24 + 2
    assert craft(attack, network, samples, Setting(ThreatModel("linf", 1e-4))).passes.tolist() == [24 + 2] * 8
    turns = TakingTurns(FIRST)
    views = GradientAttack(3, "eps/steps", inputs=(ScaleCopies(2),), eot=4)
    assert craft(views, turns, GREY, Setting(LINF)).passes.tolist() == [24, 24]
    assert turns.turn == 24


def test_for_a_model_that_always_answers_alike_repeats_change_only_the_price(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    once, often = (craft(ATTACKS.get("pgd")(steps=3, eot=eot), network, samples, Setting(LINF)) for eot in (1, 4))
    torch.testing.assert_close(often.adversarial, once.adversarial, rtol=0, atol=1e-6)
