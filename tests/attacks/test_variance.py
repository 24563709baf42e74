"""Variance tuning, against its formula, a plain version, and torchattacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchattacks
from torch import Tensor, nn

from harness.attacks import ATTACKS, PRESETS, Crafted, Model, Samples, Setting
from harness.attacks.fgsm import family
from harness.attacks.gradient_transforms import Momentum, NesterovMomentum, Smooth, smooth
from harness.attacks.gradient_transforms import smoothing_kernel as kernel_of
from harness.attacks.input_transforms import DiverseInput, ScaleCopies
from harness.attacks.loop import GradientAttack
from harness.attacks.resolve import resolve
from harness.attacks.variance import VarianceTuning
from harness.core.errors import HarnessError
from harness.core.randomness import Draws
from harness.core.threat import Goal, ThreatModel

Craft = Callable[..., Crafted]

LINF = ThreatModel("linf", 8 / 255)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def neighbour_noise(samples: Samples, step: int, number: int) -> Tensor:
    """The numbers in [-1, 1) that place a neighbour of every sample."""
    purpose = f"variance-tuning/neighbour/{number}"
    return 2 * samples.draws(0, step).uniform(purpose, *samples.images.shape[1:]) - 1


# --- the part --------------------------------------------------------------------------------------------------


def test_a_gradient_is_tuned_by_the_old_variance_and_the_new_one_is_the_neighbours_mean_less_itself() -> None:
    gradients, variance = normal(0, 2, 1, 3, 3), normal(1, 2, 1, 3, 3)
    answers = {f"/neighbour/{number}": normal(10 + number, 2, 1, 3, 3) for number in range(4)}
    draws = Draws(0, torch.tensor([5, 6]), torch.tensor([0, 3]))
    tuned, following = VarianceTuning(neighbours=4)(gradients, variance, draws, lambda _, name: answers[name])
    torch.testing.assert_close(tuned, gradients + variance)
    torch.testing.assert_close(following, torch.stack(list(answers.values())).mean(0) - gradients)


def test_neighbours_lie_uniformly_in_a_cube_of_beta_times_the_budget_each_somewhere_else() -> None:
    seen: list[Tensor] = []

    def nearby(noise: Tensor, name: str) -> Tensor:
        seen.append(noise)
        return noise

    draws = Draws(0, torch.arange(10), torch.zeros(10, dtype=torch.int64))
    VarianceTuning(neighbours=3, beta=1.5)(torch.zeros(10, 3, 16, 16), torch.zeros(10, 3, 16, 16), draws, nearby)
    noise = torch.stack(seen)
    assert noise.abs().max() <= 1.5
    assert noise.abs().max() > 1.49
    assert noise.mean().abs() < 0.02
    torch.testing.assert_close(noise.var().sqrt().item(), 1.5 / 3**0.5, rtol=0.01, atol=0)
    pairs = torch.corrcoef(noise.flatten(2).reshape(30, -1)).fill_diagonal_(0)
    assert pairs.abs().max() < 0.2, "neighbours and samples draw for themselves"


@pytest.mark.parametrize("momentum", ["mi", "ni"])
def test_where_gradients_are_the_same_everywhere_there_is_nothing_to_tune(momentum: str, craft: Craft) -> None:
    layer = nn.Linear(16, 2)
    with torch.no_grad():
        layer.weight.copy_(normal(0, 2, 16))
    model = nn.Sequential(nn.Flatten(), layer).requires_grad_(False)
    asked = Samples(torch.full((3, 1, 4, 4), 0.5), torch.tensor([0, 1, 0]), torch.arange(3))
    usual, tuned = (
        craft(ATTACKS.get(name)(loss="margin"), model, asked, Setting(LINF)).adversarial
        for name in (f"{momentum}-fgsm", f"vt-{momentum}-fgsm")
    )
    torch.testing.assert_close(tuned, usual, rtol=0, atol=1e-7)


# --- the attack ------------------------------------------------------------------------------------------------

KERNEL = {"kernel_size": 3, "kernel": "uniform"}


def plain(
    model: Model, samples: Samples, sign: int, ahead: bool, copies: int, smoothing: bool, beta: float = 1.5
) -> Tensor:
    """Four steps of VMI or VNI with three neighbours, by the authors' formulas: scaled, tuned, smoothed, added."""
    images, epsilon, steps = samples.images, LINF.epsilon, 4

    def gradient_at(points: Tensor) -> Tensor:
        points = points.clone().requires_grad_()
        losses = [
            nn.functional.cross_entropy(model(points / 2**power), samples.classes, reduction="sum")
            for power in range(copies)
        ]
        return sign * torch.autograd.grad(torch.stack(losses).sum(), points)[0]

    adversarial, velocity, variance = images, torch.zeros_like(images), torch.zeros_like(images)
    for step in range(steps):
        here = gradient_at(adversarial + (epsilon / steps * velocity if ahead else 0))
        direction = here + variance
        if smoothing:
            direction = smooth(direction, kernel_of("uniform", 3, 3.0))
        velocity = velocity + direction / direction.abs().mean(dim=(1, 2, 3), keepdim=True)
        around = [
            gradient_at(adversarial + beta * epsilon * neighbour_noise(samples, step, number)) for number in range(3)
        ]
        variance = torch.stack(around).mean(0) - here
        moved = adversarial + epsilon / steps * velocity.sign()
        adversarial = moved.clamp(images - epsilon, images + epsilon).clamp(0, 1)
    return adversarial


@pytest.mark.parametrize("goal", ["untargeted", "next"])
@pytest.mark.parametrize(
    ("name", "arguments", "ahead", "copies", "smoothing"),
    [
        ("vt-mi-fgsm", {}, False, 1, False),
        ("vt-ni-fgsm", {}, True, 1, False),
        ("vt-mi-ti-fgsm", KERNEL, False, 1, True),
        ("vt-ni-ti-si-fgsm", {**KERNEL, "copies": 3}, True, 3, True),
    ],
)
def test_images_are_those_of_the_formulas(
    name: str,
    arguments: dict[str, Any],
    ahead: bool,
    copies: int,
    smoothing: bool,
    goal: Goal,
    network: nn.Module,
    samples: Samples,
    craft: Craft,
) -> None:
    sign = 1 if goal == "untargeted" else -1
    asked = samples if sign == 1 else Samples(samples.images, (samples.classes + 1) % 5, samples.indices)
    attack = ATTACKS.get(name)(steps=4, neighbours=3, **arguments)
    ours = craft(attack, network, asked, Setting(ThreatModel("linf", LINF.epsilon, goal), batch_size=3)).adversarial
    expected = plain(network, asked, sign, ahead, copies, smoothing)
    assert not torch.equal(expected, plain(network, asked, sign, ahead, copies, smoothing, beta=0.0))
    # The sign of a direction of next to nothing may differ.
    assert ((ours - expected).abs() > 1e-6).double().mean() < 1e-3


@pytest.mark.parametrize("goal", ["untargeted", "next"])
@pytest.mark.parametrize(("name", "theirs"), [("vt-mi-fgsm", "VMIFGSM"), ("vt-ni-fgsm", "VNIFGSM")])
def test_images_equal_those_of_torchattacks_under_the_same_draws(
    name: str,
    theirs: str,
    goal: Goal,
    network: nn.Module,
    samples: Samples,
    craft: Craft,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = PRESETS[name]["torchattacks"]
    wanted = samples.classes if goal == "untargeted" else (samples.classes + 1) % 5
    asked = Samples(samples.images, wanted, samples.indices)
    attack = ATTACKS.get(name)(**{**arguments, "step_size": 2 / 255, "steps": 5})
    ours = craft(attack, network, asked, Setting(ThreatModel("linf", 8 / 255, goal))).adversarial

    drawn = (neighbour_noise(asked, step, number) for step in range(5) for number in range(arguments["neighbours"]))

    class Drawn:
        def uniform_(self, low: float, high: float) -> Tensor:
            return (high - low) / 2 * next(drawn)

    reference = getattr(torchattacks, theirs)(network, eps=8 / 255, steps=5)
    if goal != "untargeted":
        reference.set_mode_targeted_by_label(quiet=True)
    monkeypatch.setattr(torch, "randn_like", lambda images: Drawn())
    expected = reference(samples.images, wanted)
    assert not torch.equal(expected, samples.images)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


class Noting(nn.Module):
    """Notes the images that a model is asked about."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        return self.model(images)


def test_a_step_costs_a_pass_for_each_neighbour_and_itself_times_copies(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    for name, arguments, per_step in (("vt-mi-fgsm", {}, 5), ("vt-ni-si-fgsm", {"copies": 3}, 15)):
        model = Noting(network)
        attack = ATTACKS.get(name)(steps=2, neighbours=4, **arguments)
        result = craft(attack, model, samples, Setting(LINF, batch_size=3))
        assert attack.cost(Setting(LINF)) == 2 * per_step
        assert result.passes.tolist() == [2 * per_step] * 8
        assert sum(len(images) for images in model.seen) == 2 * per_step * 8
    assert ATTACKS.get("vmi-fgsm")().cost(Setting(LINF)) == 10 * 21


def test_neighbours_are_diversified_each_for_itself(network: nn.Module, craft: Craft) -> None:
    model, white = (
        Noting(network),
        Samples(torch.ones(6, 3, 16, 16), torch.zeros(6, dtype=torch.int64), torch.arange(6)),
    )
    attack = GradientAttack(
        1, "eps/steps", inputs=(DiverseInput(1.0, 0.4, 0.9),), tuning=VarianceTuning(3), gradients=(Momentum(),)
    )
    craft(attack, model, white, Setting(ThreatModel("linf", 1e-4)))
    widths = torch.stack([(images[:, 0].amax(1) > 0.5).sum(1) for images in model.seen])
    assert widths.shape == (4, 6)
    assert (widths != widths[0]).any(1)[1:].all(), "not as the sample itself is"
    assert (widths[1:] != widths[1]).any(), "nor all alike"


@pytest.mark.parametrize("stop_when_fooled", [False, True])
def test_batch_size_and_order_and_company_change_nothing(
    stop_when_fooled: bool, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    attack = GradientAttack(
        4,
        "eps/steps",
        inputs=(ScaleCopies(2), DiverseInput(largest=1.3, restore=False)),
        tuning=VarianceTuning(2),
        gradients=(Smooth(3), NesterovMomentum()),
    )

    def run(some: Samples, batch_size: int) -> Crafted:
        return craft(attack, network, some, Setting(LINF, 3, batch_size, stop_when_fooled))

    together = run(samples, 64)
    order = torch.tensor([6, 1, 4, 0, 7, 2, 5, 3])
    for rows, batch_size in ((torch.arange(8), 1), (torch.arange(8), 3), (order, 3), (order[:5], 2)):
        result = run(samples.take(rows), batch_size)
        torch.testing.assert_close(result.adversarial, together.adversarial[rows], rtol=0, atol=1e-6)
        assert torch.equal(result.passes, together.passes[rows])


def test_a_model_without_gradients_is_flagged_and_its_images_stay(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    attack = ATTACKS.get("vt-mi-fgsm")(steps=2, neighbours=2)
    result = craft(attack, lambda images: network(images.detach()), samples, Setting(LINF))
    assert torch.equal(result.adversarial, samples.images)
    assert result.zero_gradient.all()


# --- names and presets -----------------------------------------------------------------------------------------


def test_it_joins_momentum_with_every_other_part_and_is_known_by_the_papers_names() -> None:
    tuned = {name for name, letters in family().items() if "vt" in letters}
    rest = ["", "-di", "-ti", "-si", "-di-ti", "-di-si", "-ti-si", "-di-ti-si"]
    assert tuned == {f"vt-{momentum}{parts}-fgsm" for momentum in ("mi", "ni") for parts in rest}
    assert ATTACKS.get("vmi-fgsm")() == ATTACKS.get("vt-mi-fgsm")()
    assert ATTACKS.get("vni-fgsm")() == ATTACKS.get("vt-ni-fgsm")()
    attack = ATTACKS.get("vt-mi-ti-fgsm")(neighbours=7, beta=0.5)
    assert isinstance(attack, GradientAttack)
    assert attack.tuning == VarianceTuning(7, 0.5)
    assert attack.gradients == (Smooth(), Momentum()), "tuned first, then smoothed, then accumulated"


def test_other_norms_are_refused() -> None:
    with pytest.raises(HarnessError, match="vt-mi-fgsm"):
        resolve("vt-mi-fgsm", {}, ThreatModel("l2", 0.5), {})


def test_presets_hold_the_numbers_of_their_sources() -> None:
    loop = {"steps": 10, "step_size": "eps/steps", "decay": 1.0, "beta": 1.5}
    for name in ("vmi-fgsm", "vni-fgsm", "vt-mi-fgsm"):
        assert PRESETS[name]["paper"] == PRESETS[name]["transferattack"] == {**loop, "neighbours": 20}
        assert PRESETS[name]["torchattacks"] == {**loop, "step_size": "2/255", "neighbours": 5}
    paper = PRESETS["vt-mi-di-ti-si-fgsm"]["paper"]
    assert paper == {
        **loop, "neighbours": 20, "kernel_size": 7, "kernel": "gaussian", "spread": 3.0, "probability": 0.5,
        "smallest": 1.0, "largest": 331 / 299, "interpolation": "nearest", "fill": 0.5, "restore": True,
    }  # fmt: skip
