"""The one training loop: SGD on images that stay on the device as uint8."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.attacks import Samples, as_float
from harness.core.errors import HarnessError
from harness.models.card import Recipe
from harness.models.layout import layout_of
from harness.train.adversarial import adversarial_images
from harness.train.augment import random_crop, random_flip
from harness.train.checkpoint import Epoch, Training, restore, save


class Images(NamedTuple):
    """A data set on the device."""

    pixels: Tensor
    """(N, C, H, W) uint8, or float32 in [0, 1]."""
    labels: Tensor
    """(N,) class numbers."""


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """The rate of a step: a linear rise over the warm-up, then the schedule's fall."""
    warmup = recipe.warmup * steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, steps - warmup)
    match recipe.schedule:
        case "one-cycle":
            return recipe.learning_rate * (1 - done)
        case "cosine":
            return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
        case "step":
            return recipe.learning_rate * 0.1 ** ((step >= steps / 2) + (step >= 3 * steps / 4))


def start(network: nn.Module, recipe: Recipe) -> Training:
    """Fresh optimizer: weight decay on matrices and filters only."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return Training(
        network, torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0), []
    )


def train(
    network: nn.Module,
    recipe: Recipe,
    train_set: Images,
    test_set: Images,
    *,
    seed: int,
    checkpoint: Path | None = None,
    after_epoch: Callable[[Epoch], None] = lambda epoch: None,
    after_step: Callable[[int], None] = lambda images: None,
) -> list[Epoch]:
    """Train `network` in place and return its curve.

    A run that finds `checkpoint` goes on from it and ends with the same weights, bit for bit on one CPU, as a run
    that was never stopped: order and augmentation of every epoch depend on `seed` and the epoch's number alone.

    Args:
        network: maps (N, C, H, W) images in [0, 1] to logits; already on the device of the data.
        recipe: optimizer, schedule, augmentation.
        train_set: images to learn from.
        test_set: images on which every epoch is measured.
        seed: of batch order and augmentation.
        checkpoint: file to resume from and to write after every epoch; None keeps nothing.
        after_epoch: called with each epoch's figures.
        after_step: called with the number of images of each step.

    Raises:
        HarnessError: when the loss is not finite, or the checkpoint cannot be read.
    """
    layout = layout_of(network, train_set.pixels.device)
    network.to(memory_format=layout)
    training = start(network, recipe)
    if checkpoint and checkpoint.exists():
        restore(training, checkpoint)
    for epoch in range(len(training.history), recipe.epochs):
        begin = time.perf_counter()
        loss, accuracy = run_epoch(training, recipe, train_set, seed, epoch, layout, after_step)
        figures = Epoch(epoch + 1, loss, accuracy, accuracy_of(network, test_set), time.perf_counter() - begin)
        training.history.append(figures)
        if checkpoint:
            save(training, checkpoint)
        after_epoch(figures)
    return training.history


def run_epoch(
    training: Training,
    recipe: Recipe,
    data: Images,
    seed: int,
    epoch: int,
    layout: torch.memory_format,
    after_step: Callable[[int], None],
) -> tuple[float, float]:
    """One pass over the data: mean loss and accuracy."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    device = data.pixels.device
    order = torch.randperm(len(data.labels), generator=generator).to(device)
    batches = torch.split(order, recipe.batch_size)
    network = training.network.train()

    def forward(images: Tensor) -> Tensor:
        with autocast(device, recipe.precision):
            logits: Tensor = network(images.contiguous(memory_format=layout))
        return logits.float()

    losses, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    for number, batch in enumerate(batches):
        rate = learning_rate(epoch * len(batches) + number, recipe.epochs * len(batches), recipe)
        for group in training.optimizer.param_groups:
            group["lr"] = rate
        images = random_crop(data.pixels[batch], recipe.crop, generator)
        images = as_float(random_flip(images, generator) if recipe.flip else images)
        labels = data.labels[batch]
        if recipe.adversarial:
            samples = Samples(images, labels, batch)
            images = adversarial_images(network, forward, samples, recipe.adversarial, seed=seed, epoch=epoch)
        logits = forward(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.gradient_clip:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
        training.optimizer.step()
        losses += loss.detach() * len(batch)
        correct += (logits.argmax(1) == labels).sum()
        after_step(len(batch))
        if number % 50 == 0 and not torch.isfinite(loss):
            raise diverged(epoch, recipe)
    mean_loss = losses.item() / len(order)
    if not math.isfinite(mean_loss):
        raise diverged(epoch, recipe)
    return mean_loss, correct.item() / len(order)


def diverged(epoch: int, recipe: Recipe) -> HarnessError:
    """What to do about a loss that is not finite."""
    return HarnessError(
        f"training diverged in epoch {epoch + 1}: the loss is not finite.\n"
        f"     lower recipe.learning_rate ({recipe.learning_rate:g}), raise recipe.warmup, or set recipe.gradient_clip "
        f"({recipe.gradient_clip or 'off'}; 1.0 suits networks without normalization)"
    )


@torch.no_grad()
def accuracy_of(network: nn.Module, data: Images, batch_size: int = 500) -> float:
    """Share of images classified correctly in eval mode and float32."""
    network.eval()
    correct = 0
    for rows in torch.split(torch.arange(len(data.labels), device=data.labels.device), batch_size):
        correct += int((network(as_float(data.pixels[rows])).argmax(1) == data.labels[rows]).sum())
    return correct / len(data.labels)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context of the forward pass."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
