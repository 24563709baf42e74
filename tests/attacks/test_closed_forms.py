"""On a linear model the best attack is known: it lowers the margin by the budget times the dual norm of the weights."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Samples, Setting
from harness.core.losses import margin
from harness.core.threat import Norm, ThreatModel

Craft = Callable[..., Crafted]

SHAPE = (1, 4, 4)
CONVERGED: dict[str, dict[str, Any]] = {
    "fgsm": {}, "bim": {}, "i-fgsm": {}, "mi-fgsm": {}, "ni-fgsm": {},
    # From a random start, steps as long as the budget halve the angle to the best point of the sphere.
    "pgd": {"step_size": "eps"}, "cw-pgd": {"step_size": "eps"},
}  # fmt: skip
EPSILONS: dict[Norm, float] = {"linf": 8 / 255, "l2": 0.25}


def linear(classes: int, seed: int = 0) -> nn.Sequential:
    """logits = W x + b with known W."""
    layer = nn.Linear(prod(SHAPE), classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator))
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def weights(model: nn.Sequential) -> Tensor:
    layer = model[1]
    assert isinstance(layer, nn.Linear)
    return layer.weight.double()


def dual_norm(rows: Tensor, norm: Norm) -> Tensor:
    return rows.abs().sum(-1) if norm == "linf" else (rows**2).sum(-1).sqrt()


@pytest.mark.parametrize("norm", EPSILONS)
@pytest.mark.parametrize("name", CONVERGED)
def test_two_classes_lose_exactly_epsilon_times_the_dual_norm(
    name: str, norm: Norm, grey: Tensor, craft: Craft
) -> None:
    model, labels = linear(2), torch.tensor([0, 1, 0, 1])
    threat = ThreatModel(norm, EPSILONS[norm])
    attack = ATTACKS.get(name)(**CONVERGED[name])
    adversarial = craft(attack, model, Samples(grey, labels, torch.arange(4)), Setting(threat)).adversarial
    gained = margin(model(adversarial), labels).double() - margin(model(grey), labels).double()
    best = threat.epsilon * dual_norm(weights(model)[1] - weights(model)[0], norm)
    torch.testing.assert_close(gained, best.expand(4), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", EPSILONS)
@pytest.mark.parametrize("name", CONVERGED)
def test_a_targeted_attack_gains_the_same_for_the_wanted_class(
    name: str, norm: Norm, grey: Tensor, craft: Craft
) -> None:
    model, wanted = linear(2), torch.tensor([0, 1, 0, 1])
    threat = ThreatModel(norm, EPSILONS[norm], "next")
    attack = ATTACKS.get(name)(**CONVERGED[name])
    adversarial = craft(attack, model, Samples(grey, wanted, torch.arange(4)), Setting(threat)).adversarial
    gained = margin(model(grey), wanted).double() - margin(model(adversarial), wanted).double()
    best = threat.epsilon * dual_norm(weights(model)[1] - weights(model)[0], norm)
    torch.testing.assert_close(gained, best.expand(4), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", EPSILONS)
def test_one_step_on_the_margin_of_many_classes_goes_towards_the_strongest_rival(
    norm: Norm, grey: Tensor, craft: Craft
) -> None:
    model, labels = linear(5), torch.tensor([0, 1, 2, 3])
    threat = ThreatModel(norm, EPSILONS[norm])
    attack = ATTACKS.get("fgsm")(loss="margin")
    adversarial = craft(attack, model, Samples(grey, labels, torch.arange(4)), Setting(threat)).adversarial
    rows = torch.arange(4)
    before, after = model(grey).double(), model(adversarial).double()
    rivals = before.scatter(1, labels[:, None], -torch.inf).argmax(1)
    gained = (after[rows, rivals] - after[rows, labels]) - (before[rows, rivals] - before[rows, labels])
    best = threat.epsilon * dual_norm(weights(model)[rivals] - weights(model)[labels], norm)
    torch.testing.assert_close(gained, best, rtol=1e-4, atol=1e-5)


def test_the_logit_loss_lowers_the_own_logit_alone(grey: Tensor, craft: Craft) -> None:
    model, labels = linear(5), torch.tensor([0, 1, 2, 3])
    setting = Setting(ThreatModel("linf", 0.1))
    attack = ATTACKS.get("fgsm")(loss="logit")
    adversarial = craft(attack, model, Samples(grey, labels, torch.arange(4)), setting).adversarial
    expected = grey - 0.1 * weights(model)[labels].sign().view(grey.shape).float()
    torch.testing.assert_close(adversarial, expected)


def test_one_step_of_fgsm_is_epsilon_times_the_sign_of_the_weights(grey: Tensor, craft: Craft) -> None:
    model, labels = linear(2), torch.tensor([0, 1, 0, 1])
    samples = Samples(grey, labels, torch.arange(4))
    adversarial = craft(ATTACKS.get("fgsm")(), model, samples, Setting(ThreatModel("linf", 0.1))).adversarial
    towards = (weights(model)[1 - labels] - weights(model)[labels]).sign().view(grey.shape).float()
    torch.testing.assert_close(adversarial, grey + 0.1 * towards)


def test_where_the_range_of_images_ends_the_perturbation_ends(craft: Craft) -> None:
    model, labels = linear(2), torch.tensor([0, 1])
    images = torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE)])
    samples = Samples(images, labels, torch.arange(2))
    adversarial = craft(ATTACKS.get("pgd")(), model, samples, Setting(ThreatModel("linf", 0.1))).adversarial
    towards = (weights(model)[1 - labels] - weights(model)[labels]).sign().view(images.shape).float()
    torch.testing.assert_close(adversarial, (images + 0.1 * towards).clamp(0, 1))


def test_steps_shorter_than_the_budget_get_as_far_as_their_sum(grey: Tensor, craft: Craft) -> None:
    model, samples = linear(2), Samples(grey, torch.zeros(4, dtype=torch.int64), torch.arange(4))
    attack = ATTACKS.get("bim")(steps=3, step_size=0.01)
    adversarial = craft(attack, model, samples, Setting(ThreatModel("linf", 0.1))).adversarial
    torch.testing.assert_close((adversarial - grey).abs(), torch.full_like(grey, 0.03))


def test_uint8_images_are_attacked_at_their_value_over_255(craft: Craft) -> None:
    model = linear(2)
    pixels = torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels, indices = torch.zeros(3, dtype=torch.int64), torch.arange(3)
    setting = Setting(ThreatModel("linf", 8 / 255))
    from_bytes = craft(ATTACKS.get("pgd")(), model, Samples(pixels, labels, indices), setting)
    from_floats = craft(ATTACKS.get("pgd")(), model, Samples(pixels.float() / 255, labels, indices), setting)
    assert torch.equal(from_bytes.adversarial, from_floats.adversarial)
