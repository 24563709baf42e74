"""DeepFool takes one exact step on linear models, and proposes nothing outside the ball."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Samples, Setting, fooled
from harness.attacks.deepfool import BEYOND, DeepFool
from harness.attacks.hyperplane import dual_length, step_onto
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.threat import Norm, ThreatModel

Craft = Callable[..., Crafted]

NORMS: tuple[Norm, ...] = ("linf", "l2")
ROWS = torch.arange(6)


class Linear(nn.Module):
    """Images (N, 1, 4, 4) to logits W (x - 1/2) + b, with random W and small b."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(classes)
        self.weights = torch.randn(classes, 16, generator=generator)
        self.biases = 0.3 * torch.randn(classes, generator=generator) - self.weights.sum(1) / 2

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weights.T + self.biases


def near_grey(model: nn.Module) -> Samples:
    images = 0.5 + 0.02 * torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Samples(images, model(images).argmax(1), ROWS)


def boundaries(model: Linear, classes: Tensor, rivals: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
    """(N, 16), (N, 1) normals and offsets of the hyperplanes that a step aims at."""
    normals = model.weights[rivals] - model.weights[classes]
    offsets = model.biases[classes] - model.biases[rivals] + BEYOND * dual_length(normals, norm)
    return normals, offsets[:, None]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("overshoot", [0.02, 0.5])
def test_one_step_on_a_linear_model_overshoots_the_nearest_boundary(
    classes: int, norm: Norm, overshoot: float, craft: Craft
) -> None:
    model = Linear(classes)
    samples = near_grey(model)
    logits, own = model(samples.images).double(), samples.classes
    gaps = logits.gather(1, own[:, None]) - logits
    normals = (model.weights - model.weights[own][:, None]).double()
    distances = (gaps / dual_length(normals, norm)).scatter(1, own[:, None], torch.inf)
    expected, nearest = distances.min(1)
    attack, setting = DeepFool(overshoot=overshoot), Setting(ThreatModel(norm, 10.0))
    result = craft(attack, model, samples, setting)
    away = ball_of(setting.threat).distance(samples.images, result.adversarial)
    torch.testing.assert_close(away, (expected + BEYOND) * (1 + overshoot), rtol=1e-4, atol=0)
    assert fooled(model(result.adversarial), own, setting.threat).all()
    normals = normals[ROWS, nearest]
    direction = normals.sign() if norm == "linf" else normals
    moved = (result.adversarial - samples.images).flatten(1).double()
    cosine = torch.cosine_similarity(moved, direction)
    torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=1e-5, atol=0)
    assert result.passes.tolist() == [1 + 2 * (classes - 1)] * 6


@pytest.mark.parametrize("norm", NORMS)
def test_steps_within_the_range_still_reach_the_boundary(norm: Norm, craft: Craft) -> None:
    model = Linear(2)
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1)).round()
    samples = Samples(images, model(images).argmax(1), ROWS)
    normals, offsets = boundaries(model, samples.classes, 1 - samples.classes, norm)
    shortest = step_onto(norm, images.flatten(1), normals, offsets).view_as(images)
    expected = (images + 1.02 * shortest).clamp(0, 1)
    result = craft(DeepFool(steps=1), model, samples, Setting(ThreatModel(norm, 100.0)))
    torch.testing.assert_close(result.adversarial, expected, rtol=0, atol=1e-5)
    result = craft(DeepFool(), model, samples, Setting(ThreatModel(norm, 100.0)))
    assert fooled(model(result.adversarial), samples.classes, ThreatModel(norm, 100.0)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_curved_boundary_takes_several_steps(norm: Norm, craft: Craft) -> None:
    def model(images: Tensor) -> Tensor:
        lead = images.flatten(1).sqrt().sum(1) - 16 * 0.75**0.5
        return torch.stack([torch.zeros_like(lead), lead], 1)

    images = torch.full((1, 1, 4, 4), 0.3)
    samples = Samples(images, torch.tensor([0]), ROWS[:1])
    result = craft(DeepFool(overshoot=0.001), model, samples, Setting(ThreatModel(norm, 10.0)))
    torch.testing.assert_close(result.adversarial, torch.full_like(images, 0.75), rtol=0.01, atol=0)
    assert fooled(model(result.adversarial), samples.classes, ThreatModel(norm, 10.0))
    assert result.passes.item() > 3


@pytest.mark.parametrize("norm", NORMS)
def test_a_point_outside_the_ball_is_brought_into_it(norm: Norm, craft: Craft) -> None:
    model, setting = Linear(3), Setting(ThreatModel(norm, 0.001))
    samples = near_grey(model)
    result = craft(DeepFool(), model, samples, setting)
    away = ball_of(setting.threat).distance(samples.images, result.adversarial)
    torch.testing.assert_close(away, torch.full((6,), 0.001).double(), rtol=1e-4, atol=0)


def test_only_candidates_are_looked_at(craft: Craft) -> None:
    model = Linear(5)
    samples = near_grey(model)
    result = craft(DeepFool(candidates=2, steps=1), model, samples, Setting(ThreatModel("l2", 100.0)))
    second = model(samples.images).argsort(1, descending=True)[:, 1]
    normals, offsets = boundaries(model, samples.classes, second, "l2")
    images = samples.images.flatten(1)
    expected = (images + 1.02 * step_onto("l2", images, normals, offsets)).clamp(0, 1)
    torch.testing.assert_close(result.adversarial.flatten(1), expected, rtol=0, atol=1e-5)
    assert result.passes.tolist() == [2] * 6


def test_the_slack_moves_the_boundary(craft: Craft) -> None:
    model = Linear(2)
    samples, setting = near_grey(model), Setting(ThreatModel("l2", 10.0), slack=0.2)
    result = craft(DeepFool(), model, samples, setting)
    assert fooled(model(result.adversarial), samples.classes, setting.threat, 0.2).all()
    logits = model(result.adversarial).gather(1, torch.stack([1 - samples.classes, samples.classes], 1))
    assert (logits[:, 0] - logits[:, 1] < 0.2 + 0.05 * (model(samples.images).diff(dim=1).abs()[:, 0] + 0.2)).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0])
def test_models_without_numbers_or_gradients_leave_images_alone(value: float, norm: Norm, craft: Craft) -> None:
    def model(images: Tensor) -> Tensor:
        return value * images.flatten(1)[:, :3]

    images = near_grey(Linear(3)).images
    result = craft(DeepFool(steps=4), model, Samples(images, ROWS % 3, ROWS), Setting(ThreatModel(norm, 0.1)))
    torch.testing.assert_close(result.adversarial, images)
    assert result.zero_gradient.all()
    assert result.passes.tolist() == [1 + 4 * 2] * 6


@pytest.mark.parametrize("pixel", [0.0, 1.0, 0.4])
@pytest.mark.parametrize("norm", NORMS)
def test_a_single_constant_image_stays_in_range_and_budget(norm: Norm, pixel: float, craft: Craft) -> None:
    model, setting = Linear(3), Setting(ThreatModel(norm, 0.5))
    image = torch.full((1, 1, 4, 4), pixel)
    result = craft(DeepFool(), model, Samples(image, model(image).argmax(1), ROWS[:1]), setting)
    assert result.adversarial.min() >= 0
    assert result.adversarial.max() <= 1
    assert ball_of(setting.threat).distance(image, result.adversarial) <= 0.5 * (1 + 1e-6)
    assert (result.adversarial != image).any()


def test_targeted_goals_are_refused() -> None:
    with pytest.raises(HarnessError, match='made for the goal "untargeted"; use'):
        ATTACKS.get("deepfool")().resolved(ThreatModel("linf", 0.1, "next"))
