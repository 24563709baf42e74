"""The gradient loop and its slots: what a sample gets does not depend on who is in flight with it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Model, Samples, Setting
from harness.attacks.gradient_transforms import Momentum, NesterovMomentum
from harness.attacks.input_transforms import DiverseInput, ScaleCopies
from harness.attacks.loop import GradientAttack
from harness.attacks.slope import input_gradient
from harness.core.losses import cross_entropy, margin
from harness.core.threat import ThreatModel

Craft = Callable[..., Crafted]

LINF = ThreatModel("linf", 4 / 255)


class Counting(nn.Module):
    """Notes the batch sizes that a model is asked about."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        return self.model(images)


class Found(NamedTuple):
    adversarial: Tensor
    passes: int


def first_fooling_iterate(network: Model, image: Tensor, label: Tensor, steps: int, slack: float = 0.0) -> Found:
    """I-FGSM on one image, written down plainly: (1, C, H, W), (1,)."""
    point = image
    for passes in range(1, steps + 1):
        point = point.detach().requires_grad_()
        logits = network(point)
        if margin(logits, label) > slack:
            return Found(point.detach(), passes)
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, label), point)
        moved = point.detach() + LINF.epsilon / steps * gradient.sign()
        point = torch.minimum(torch.maximum(moved, image - LINF.epsilon), image + LINF.epsilon).clamp(0, 1)
    return Found(point, steps)


@pytest.mark.parametrize("slack", [0.0, 0.05])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_stopping_early_gives_each_sample_its_first_fooling_iterate(
    batch_size: int, slack: float, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    steps = 20
    setting = Setting(LINF, batch_size=batch_size, stop_when_fooled=True, slack=slack)
    result = craft(ATTACKS.get("i-fgsm")(steps=steps), network, samples, setting)
    expected = [
        first_fooling_iterate(network, samples.images[i : i + 1], samples.classes[i : i + 1], steps, slack)
        for i in range(len(samples))
    ]
    assert len({found.passes for found in expected}) > 3, "samples are done at different steps"
    assert result.passes.tolist() == [found.passes for found in expected]
    torch.testing.assert_close(result.adversarial, torch.cat([found.adversarial for found in expected]))


def test_a_transfer_attack_runs_every_step_whatever_the_surrogate_thinks(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    attack = ATTACKS.get("i-fgsm")(steps=6)
    result = craft(attack, network, samples, Setting(LINF, slack=-1e9))
    assert result.passes.tolist() == [6] * len(samples)


def test_the_slack_may_exceed_what_the_attack_reaches_and_then_every_step_is_run(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    attack = ATTACKS.get("i-fgsm")(steps=6)
    stopping = craft(attack, network, samples, Setting(LINF, stop_when_fooled=True, slack=1e6))
    running = craft(attack, network, samples, Setting(LINF))
    assert torch.equal(stopping.adversarial, running.adversarial)
    assert torch.equal(stopping.passes, running.passes)


EVERYTHING: dict[str, GradientAttack] = {
    "random start": GradientAttack(6, "2.5 eps/steps", random_start=True),
    "momentum": GradientAttack(6, "eps/steps", gradients=(Momentum(),)),
    "nesterov": GradientAttack(6, "eps/steps", gradients=(NesterovMomentum(),)),
    "diverse, restored": GradientAttack(6, "eps/steps", inputs=(DiverseInput(smallest=0.7, largest=1.3),)),
    "diverse, unrestored": GradientAttack(6, "eps/steps", inputs=(DiverseInput(largest=1.3, restore=False),)),
    "copies, each diverse": GradientAttack(4, "eps/steps", inputs=(ScaleCopies(2), DiverseInput(largest=1.5))),
}


@pytest.mark.parametrize("stop_when_fooled", [False, True])
@pytest.mark.parametrize("name", EVERYTHING)
def test_batch_size_and_order_and_company_change_nothing(
    name: str, stop_when_fooled: bool, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    def run(some: Samples, batch_size: int) -> Crafted:
        setting = Setting(LINF, seed=3, batch_size=batch_size, stop_when_fooled=stop_when_fooled)
        return craft(EVERYTHING[name], network, some, setting)

    together = run(samples, 64)
    if stop_when_fooled:
        assert len(set(together.passes.tolist())) > 1, "some samples leave their slots before others"
    order = torch.tensor([6, 1, 4, 0, 7, 2, 5, 3])
    alone = torch.tensor([5])
    for rows, result in [
        (torch.arange(8), run(samples, 1)),
        (torch.arange(8), run(samples, 3)),
        (order, run(samples.take(order), 3)),
        (order[:5], run(samples.take(order[:5]), 2)),
        (alone, run(samples.take(alone), 64)),
    ]:
        torch.testing.assert_close(result.adversarial, together.adversarial[rows], rtol=0, atol=1e-6)
        assert torch.equal(result.passes, together.passes[rows])
        assert torch.equal(result.zero_gradient, together.zero_gradient[rows])


def test_slots_stay_full_until_nobody_waits(network: nn.Module, samples: Samples, craft: Craft) -> None:
    model = Counting(network)
    setting = Setting(LINF, batch_size=3, stop_when_fooled=True)
    result = craft(ATTACKS.get("i-fgsm")(steps=20), model, samples, setting)
    assert sum(model.sizes) == result.passes.sum(), "no pass is spent on a sample that is decided"
    assert model.sizes == sorted(model.sizes, reverse=True)
    assert len(model.sizes) - model.sizes.count(3) <= 20, "only the last samples have empty slots beside them"


def test_samples_are_yielded_as_they_finish(network: nn.Module, samples: Samples) -> None:
    setting = Setting(LINF, batch_size=8, stop_when_fooled=True)
    parts = list(ATTACKS.get("i-fgsm")(steps=20).craft(network, samples, setting))
    assert len(parts) > 3
    spent = torch.cat([part.passes for part in parts])
    assert torch.equal(spent, spent.sort().values)


def test_no_samples_give_no_images(network: nn.Module, samples: Samples) -> None:
    nobody = samples.take(torch.arange(0))
    for name in ("pgd", "mi-di-ti-fgsm"):
        assert list(ATTACKS.get(name)().craft(network, nobody, Setting(LINF))) == []
    assert list(ATTACKS.get("pgd")(restarts=2).craft(network, nobody, Setting(LINF))) == []


def test_nesterov_stops_where_the_sample_is_fooled_not_where_it_looks(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    setting = Setting(LINF, stop_when_fooled=True)
    result = craft(ATTACKS.get("ni-fgsm")(steps=20), network, samples, setting)
    early = result.passes < 2 * 20
    assert early.any()
    assert (result.passes % 2 == 0).all(), "a step looks ahead and at the sample itself"
    assert (margin(network(result.adversarial), samples.classes)[early] > 0).all()
    # One step earlier nobody was fooled: running exactly that long without stopping proves it.
    for row in early.nonzero()[:, 0]:
        steps = int(result.passes[row]) // 2 - 1
        one = samples.take(row.view(1))
        before = GradientAttack(20, "eps/steps", gradients=(NesterovMomentum(),))
        shorter = GradientAttack(steps - 1, LINF.epsilon / 20, before.loss, gradients=before.gradients)
        if steps > 1:
            assert margin(network(craft(shorter, network, one, Setting(LINF)).adversarial), one.classes) <= 0


def test_a_targeted_attack_stops_at_the_wanted_class(network: nn.Module, samples: Samples, craft: Craft) -> None:
    wanted = network(samples.images).topk(2).indices[:, 1]
    setting = Setting(ThreatModel("linf", 8 / 255, "next"), stop_when_fooled=True)
    result = craft(ATTACKS.get("i-fgsm")(steps=20), network, Samples(samples.images, wanted, samples.indices), setting)
    early = result.passes < 20
    assert early.sum() > 2
    assert (network(result.adversarial).argmax(1) == wanted)[early].all()


def test_each_copy_of_a_scaled_image_costs_a_pass(network: nn.Module, samples: Samples, craft: Craft) -> None:
    model = Counting(network)
    attack = ATTACKS.get("si-fgsm")(steps=3, copies=4)
    result = craft(attack, model, samples, Setting(LINF))
    assert attack.cost(Setting(LINF)) == 12
    assert result.passes.tolist() == [12] * 8
    assert sum(model.sizes) == 12 * 8


def test_gradients_are_those_of_the_loss_of_each_sample(network: nn.Module, samples: Samples) -> None:
    gradient, logits, *_ = input_gradient(network, samples.images, samples.classes, cross_entropy)
    assert torch.equal(logits, network(samples.images))
    direction = torch.randn(samples.images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = deepcopy(network).double()
    slopes = [
        cross_entropy(exact(samples.images.double() + step * direction), samples.classes) for step in (1e-5, -1e-5)
    ]
    torch.testing.assert_close(
        (gradient.double() * direction).flatten(1).sum(1), (slopes[0] - slopes[1]) / 2e-5, rtol=1e-4, atol=1e-5
    )


class Broken(nn.Module):
    """A smooth network behind a defence that breaks its gradients."""

    def __init__(self, network: nn.Module, defence: str) -> None:
        super().__init__()
        self.network = network
        self.defence = defence

    def forward(self, images: Tensor) -> Tensor:
        seen, factor = images, torch.ones(())
        match self.defence:
            case "detached":
                seen = images.detach()
            case "parameters only":
                seen, factor = images.detach(), nn.Parameter(torch.ones(()))
            case "rounded":
                seen = (images * 8).round() / 8
            case "NaN for some":
                factor = torch.where(torch.arange(len(images)) % 2 == 0, 1.0, torch.nan)[:, None]
            case "infinite slope":
                factor = 1 + (images[:, :1, 0, 0] * 0).sqrt()
        logits: Tensor = self.network(seen) * factor
        return logits


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("defence", ["detached", "parameters only", "rounded"])
@pytest.mark.parametrize("name", ["i-fgsm", "mi-fgsm", "di-fgsm"])
def test_a_model_without_gradients_is_flagged_and_its_images_stay(
    name: str, defence: str, norm: Any, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    arguments = {"largest": 1.4} if "di" in name else {}
    setting = Setting(ThreatModel(norm, 0.1))
    result = craft(ATTACKS.get(name)(**arguments), Broken(network, defence), samples, setting)
    assert torch.equal(result.adversarial, samples.images)
    assert result.zero_gradient.all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("defence", ["NaN for some", "infinite slope"])
@pytest.mark.parametrize("stop_when_fooled", [False, True])
def test_gradients_that_are_not_finite_never_reach_the_images(
    defence: str, norm: Any, stop_when_fooled: bool, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    setting = Setting(ThreatModel(norm, 0.1), stop_when_fooled=stop_when_fooled)
    for name in ("i-fgsm", "mi-fgsm"):
        result = craft(ATTACKS.get(name)(), Broken(network, defence), samples, setting)
        assert result.adversarial.isfinite().all()
        assert (result.adversarial != samples.images).any(), "the other gradients still count"


def test_attacks_work_where_the_caller_has_switched_gradients_off(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    for name in ("pgd", "di-si-fgsm"):
        attack = ATTACKS.get(name)(steps=2)
        usual = craft(attack, network, samples, Setting(LINF)).adversarial
        with torch.no_grad():
            assert torch.equal(craft(attack, network, samples, Setting(LINF)).adversarial, usual)
