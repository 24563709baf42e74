"""What training minimises: shares of clean and adversarial images, and gradient similarity."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.attacks import Samples
from harness.core.randomness import Draws
from harness.models.recipe import GradientSimilarity, Recipe
from harness.train.adversarial import adversarial_images
from harness.train.loop import Images, train
from harness.train.objective import gradient_similarity, objective
from harness.train.passes import ForwardPass


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({"epochs": 1, "learning_rate": 0.1, **changes})


def similarity_recipe(sigma: float) -> GradientSimilarity:
    return GradientSimilarity.model_validate({"weight": 1, "sigma": sigma})


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, 3))


def passes(net: nn.Module) -> ForwardPass:
    return ForwardPass(net, torch.device("cpu"), torch.contiguous_format)


@pytest.fixture
def samples() -> Samples:
    images = torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return Samples(images, torch.arange(12) % 3, torch.arange(12))


def test_plainly_it_is_the_cross_entropy_with_its_smoothing(samples: Samples) -> None:
    net = network()
    loss, logits = objective(net, passes(net), samples, recipe(label_smoothing=0.2), seed=0, epoch=0)
    assert torch.equal(logits, net(samples.images))
    torch.testing.assert_close(loss, F.cross_entropy(logits, samples.classes, label_smoothing=0.2))


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_clean_images_have_the_share_that_adversarial_ones_leave(samples: Samples, share: float) -> None:
    net = network()
    asked = recipe(adversarial={"epsilon": 0.1, "steps": 3, "share": share})
    assert asked.adversarial
    loss, logits = objective(net, passes(net), samples, asked, seed=4, epoch=2)
    adversarial = adversarial_images(net, passes(net), samples, asked.adversarial, seed=4, epoch=2)
    assert torch.equal(logits, net(adversarial))
    expected = share * F.cross_entropy(logits, samples.classes)
    expected = expected + (1 - share) * F.cross_entropy(net(samples.images), samples.classes)
    torch.testing.assert_close(loss, expected)


def cosine_by_hand(net: nn.Module, samples: Samples, noise: Tensor) -> float:
    """LIGS, image by image."""
    cosines = []
    for image, label, shift in zip(samples.images, samples.classes, noise, strict=True):
        gradients = []
        for point in (image, image + shift):
            point = point[None].detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(net(point), label[None]), point)
            gradients.append(gradient.flatten())
        cosines.append(gradients[0] @ gradients[1] / (gradients[0].norm() * gradients[1].norm()))
    return torch.stack(cosines).mean().item()


def test_gradient_similarity_is_the_mean_cosine_of_two_input_gradients(samples: Samples) -> None:
    net, sigma = network(), 0.3
    draws = Draws(7, samples.indices, torch.zeros_like(samples.indices))
    images = samples.images.clone().requires_grad_()
    found = gradient_similarity(net, images, net(images), samples.classes, draws, similarity_recipe(sigma))
    expected = cosine_by_hand(net, samples, sigma * draws.normal("ligs", 1, 6, 6))
    assert found.item() == pytest.approx(expected, abs=1e-5)
    assert expected < 0.999


def test_gradient_similarity_is_added_with_its_weight(samples: Samples) -> None:
    net = network()
    asked = recipe(gradient_similarity={"weight": 0.5, "sigma": 0.3})
    loss, logits = objective(net, passes(net), samples, asked, seed=7, epoch=0)
    noise = 0.3 * Draws(7, samples.indices, torch.zeros_like(samples.indices)).normal("ligs", 1, 6, 6)
    similarity = cosine_by_hand(net, samples, noise)
    assert loss.item() == pytest.approx(
        F.cross_entropy(logits, samples.classes).item() + 0.5 * (1 - similarity), abs=1e-5
    )


def test_a_linear_network_has_parallel_gradients_for_two_classes(samples: Samples) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    draws = Draws(0, samples.indices, torch.zeros_like(samples.indices))
    images = samples.images.clone().requires_grad_()
    classes = samples.classes % 2
    found = gradient_similarity(net, images, net(images), classes, draws, similarity_recipe(0.5))
    assert found.item() == pytest.approx(1.0, abs=1e-5)


def test_training_with_the_regularizer_makes_gradients_more_alike(samples: Samples) -> None:
    data = Images(samples.images, samples.classes)
    noise = 0.3 * torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(9))
    similar = []
    for keys in ({}, {"gradient_similarity": {"weight": 2.0, "sigma": 0.3}}):
        net = network()
        train(net, recipe(epochs=80, learning_rate=0.2, batch_size=12, **keys), data, data, seed=0)
        similar.append(cosine_by_hand(net, samples, noise))
    plain, regularized = similar
    assert regularized > plain + 0.05


def test_frozen_statistics_stay_frozen_after_images_were_attacked() -> None:
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(36, 3)).train()
    net[0].eval()
    asked = recipe(adversarial={"epsilon": 0.1, "steps": 1})
    assert asked.adversarial
    images = Samples(torch.rand(4, 1, 6, 6), torch.arange(4) % 3, torch.arange(4))
    adversarial_images(net, passes(net), images, asked.adversarial, seed=0, epoch=0)
    assert net.training
    assert not net[0].training
