"""Adversarial training: images are attacked as the recipe says, and the network ends up harder to fool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness.attacks import Samples
from harness.core.losses import cross_entropy
from harness.models.classifier import Classifier, Provenance
from harness.models.networks import NETWORKS
from harness.models.recipe import AdversarialTraining, Recipe
from harness.train.adversarial import adversarial_images
from harness.train.loop import Images, train
from harness.train.passes import ForwardPass

COUNT = 32


def adversarial(**keys: Any) -> AdversarialTraining:
    return AdversarialTraining.model_validate(keys)


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 3)
        )


def passes(made: nn.Module) -> ForwardPass:
    return ForwardPass(made, torch.device("cpu"), torch.contiguous_format)


def samples() -> Samples:
    images = torch.rand(COUNT, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return Samples(images, torch.arange(COUNT) % 3, torch.arange(COUNT))


def attacked(recipe: AdversarialTraining, made: nn.Module, **given: Any) -> Tensor:
    return adversarial_images(made, passes(made), samples(), recipe, **{"seed": 0, "epoch": 0, **given})


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_raise_the_loss_inside_the_recipes_ball(norm: Any) -> None:
    recipe = adversarial(norm=norm, epsilon=0.1)
    made = network().eval()
    images, found = samples().images, attacked(recipe, made)
    change = (found - images).flatten(1)
    lengths = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert lengths.max() <= 0.1 * (1 + 1e-5)
    assert lengths.min() > 0.05
    assert found.min() >= 0
    assert found.max() <= 1
    before, after = (cross_entropy(made(points), samples().classes) for points in (images, found))
    assert (after > before).all()


def test_every_epoch_starts_elsewhere_and_seeds_repeat() -> None:
    recipe, made = adversarial(epsilon=0.1, steps=1), network().eval()
    assert torch.equal(attacked(recipe, made), attacked(recipe, made))
    assert not torch.equal(attacked(recipe, made), attacked(recipe, made, epoch=1))
    assert not torch.equal(attacked(recipe, made), attacked(recipe, made, seed=1))


@pytest.mark.parametrize(("mode", "moves"), [("eval", False), ("train", True)])
def test_the_mode_decides_whether_crafting_moves_the_running_statistics(mode: Any, moves: bool) -> None:
    made = network().train()
    before = made[1].running_mean.clone()  # type: ignore[operator]
    attacked(adversarial(epsilon=0.1, mode=mode), made)
    assert made.training
    assert torch.equal(made[1].running_mean, before) != moves  # type: ignore[arg-type]


def test_the_copy_that_is_attacked_has_the_function_of_the_network_as_it_is_now() -> None:
    images = samples()
    net = NETWORKS.get("resnet8")(channels=1, classes=3, width=4).train()
    for _ in range(3):
        net(torch.rand(16, 1, 6, 6) + 1)
    made = Classifier(net, Provenance("test"), mean=(0.5,), std=(0.25,)).requires_grad_(True).train()
    recipe = adversarial(epsilon=0.05, steps=3)
    found = attacked(recipe, made)
    assert made.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in made.parameters())
    compiled = replace(passes(made), compiled=True)  # which is attacked itself
    itself = adversarial_images(made, compiled, images, recipe, seed=0, epoch=0)
    losses = [cross_entropy(made.eval()(points), images.classes) for points in (images.images, found, itself)]
    torch.testing.assert_close(losses[1], losses[2], rtol=1e-3, atol=1e-4)
    assert (losses[1] > losses[0]).all()


def test_adversarial_training_prefers_the_robust_feature_to_the_predictive_ones() -> None:
    def pixels(seed: int) -> Images:
        """The first pixel is strong and right for 85% of the images; the others are weak and right for all."""
        labels, draws = torch.arange(200) % 2, torch.rand(200, generator=torch.Generator().manual_seed(seed))
        sign = (2 * labels - 1).float()
        points = 0.5 + 0.05 * sign.view(-1, 1).expand(-1, 36)
        points = torch.cat([(0.5 + 0.4 * sign * torch.where(draws < 0.85, 1, -1)).view(-1, 1), points[:, 1:]], 1)
        return Images(points.view(-1, 1, 6, 6), labels)

    def robust(**changes: Any) -> float:
        recipe = Recipe.model_validate({"epochs": 40, "batch_size": 50, "learning_rate": 0.5, **changes})
        made, test = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), pixels(2)
        train(made, recipe, pixels(0), pixels(1), seed=0)
        asked = Samples(test.pixels, test.labels, torch.arange(200))
        found = adversarial_images(made, passes(made), asked, adversarial(epsilon=0.1, steps=20), seed=0, epoch=0)
        return float((made(found).argmax(1) == test.labels).double().mean())

    assert robust() < 0.5
    assert robust(adversarial={"epsilon": 0.1, "steps": 5}) > 0.8


def test_a_budget_is_needed_and_written_as_papers_write_it() -> None:
    recipe = Recipe.model_validate({"epochs": 1, "learning_rate": 0.1, "adversarial": {"epsilon": "8/255"}})
    assert recipe.adversarial is not None
    assert recipe.adversarial.epsilon == pytest.approx(8 / 255)
    for wrong in ({}, {"epsilon": 0}, {"epsilon": 0.1, "step": 3}):
        with pytest.raises(ValidationError):
            AdversarialTraining.model_validate(wrong)
