"""What training minimises, batch by batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.attacks import Model, Samples
from harness.core.randomness import Draws
from harness.models.recipe import GradientSimilarity, Recipe
from harness.train.adversarial import adversarial_images
from harness.train.passes import ForwardPass


def objective(
    network: nn.Module, model: ForwardPass, samples: Samples, recipe: Recipe, *, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The loss of a batch, and the logits of the images that it counts most.

    Args:
        network: in train mode; attacked on the way where the recipe says so.
        model: the network's forward pass.
        samples: augmented images.
        recipe: loss and regularizers.
        seed: of random starts and noise.
        epoch: part of every random number: every epoch draws others.
    """

    def cross_entropy(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, samples.classes, label_smoothing=recipe.label_smoothing)

    images, share = samples.images, 1.0
    if recipe.adversarial:
        images = adversarial_images(network, model, samples, recipe.adversarial, seed=seed, epoch=epoch)
        share = recipe.adversarial.share
    if recipe.gradient_similarity:
        images = images.detach().requires_grad_()
    logits = model(images)
    loss = share * cross_entropy(logits)
    if share < 1:
        loss = loss + (1 - share) * cross_entropy(model(samples.images))
    if recipe.gradient_similarity:
        draws = Draws(seed, samples.indices, torch.full_like(samples.indices, epoch))
        similarity = gradient_similarity(model, images, logits, samples.classes, draws, recipe.gradient_similarity)
        loss = loss + recipe.gradient_similarity.weight * (1 - similarity)
    return loss, logits


def gradient_similarity(
    model: Model, images: Tensor, logits: Tensor, classes: Tensor, draws: Draws, recipe: GradientSimilarity
) -> Tensor:
    """LIGS of a batch (benz2021, section 5), differentiable: the mean cosine of two input gradients.

    Args:
        model: maps images to logits.
        images: (N, C, H, W), asking for gradients.
        logits: (N, K) the model's answers to them.
        classes: (N,) true classes.
        draws: the noise between the two points.
        recipe: its size.
    """
    noise = recipe.sigma * draws.normal("ligs", *images.shape[1:])
    nearby = (images.detach() + noise).requires_grad_()
    here = input_gradients(logits, classes, images)
    there = input_gradients(model(nearby), classes, nearby)
    return F.cosine_similarity(here.flatten(1), there.flatten(1), eps=1e-12).mean()


def input_gradients(logits: Tensor, classes: Tensor, images: Tensor) -> Tensor:
    """(N, C, H, W) of the cross-entropy of every image, through which further gradients can be taken."""
    total = F.cross_entropy(logits, classes, reduction="sum")
    (gradients,) = torch.autograd.grad(total, images, create_graph=True)
    return gradients
