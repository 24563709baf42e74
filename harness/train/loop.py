"""The one training loop, on images that stay on the device as uint8."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from harness.attacks import Samples, as_float
from harness.core.cards import file_sha256
from harness.core.errors import HarnessError
from harness.models.layout import layout_of
from harness.models.recipe import Recipe
from harness.train.augment import augment
from harness.train.changes import restrict, set_training_mode
from harness.train.checkpoint import Epoch, Training, restore, save
from harness.train.objective import objective
from harness.train.optimizer import learning_rate, make_optimizer, set_rate
from harness.train.passes import ForwardPass, forward_pass
from harness.train.team import Team

TEST_BATCH = 128
"""Test images at a time, in the curve as in the result: the accuracy of RobustNorm depends on it."""


class Images(NamedTuple):
    """A data set on the device."""

    pixels: Tensor
    """(N, C, H, W) uint8, or float32 in [0, 1]."""
    labels: Tensor
    """(N,) class numbers."""


def start(network: nn.Module, recipe: Recipe) -> Training:
    """Fresh optimizer and average; parameters that must not change are frozen."""
    optimizer = make_optimizer(restrict(network, recipe.changes), recipe)
    average = None
    if recipe.average:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)
    return Training(network, optimizer, average, [])


def train(
    network: nn.Module,
    recipe: Recipe,
    train_set: Images,
    test_set: Images,
    *,
    seed: int,
    team: Team = Team(),
    checkpoint: Path | None = None,
    snapshot: Callable[[int], Path] = lambda epoch: Path(),
    after_epoch: Callable[[Epoch, nn.Module], None] = lambda epoch, network: None,
    after_step: Callable[[int], None] = lambda images: None,
) -> list[Epoch]:
    """Train `network` in place and return its curve.

    A run that finds `checkpoint` goes on from it and ends with the same weights, bit for bit on one CPU, as a run
    that was never stopped: order and augmentation of every epoch depend on `seed` and the epoch's number alone.

    Args:
        network: maps (N, C, H, W) images in [0, 1] to logits; already on the device of the data.
        recipe: optimizer, schedule, augmentation, loss, and what may change.
        train_set: images to learn from.
        test_set: images on which every epoch is measured.
        seed: of batch order and augmentation.
        team: the processes that train together; each calls this function.
        checkpoint: file to resume from and to write after every epoch; None keeps nothing.
        snapshot: file of the weights that `after_epoch` keeps after an epoch of `recipe.snapshots`.
        after_epoch: called with each epoch's figures and the network that would be kept if it were the last.
        after_step: called with the number of images of each step.

    Raises:
        HarnessError: when loss or weights are not finite, the checkpoint cannot be used, the recipe names parameters
            that the network does not have, or an augmentation that the images do not allow.
    """
    check_augmentation(recipe, train_set)
    network.to(memory_format=layout_of(network, train_set.pixels.device))
    training = start(network, recipe)
    if checkpoint and checkpoint.exists():
        restore(training, checkpoint, snapshot)
    model = forward_pass(network, recipe, train_set.pixels.device)
    for epoch in range(len(training.history), recipe.epochs):
        begin = time.perf_counter()
        loss, accuracy = run_epoch(training, model, recipe, train_set, seed, epoch, team, after_step)
        figures = Epoch(epoch + 1, loss, accuracy, accuracy_of(training.result, test_set), time.perf_counter() - begin)
        training.history.append(figures)
        after_epoch(figures, training.result)
        # Behind the snapshot: a kill in between costs an epoch, which is computed again, and never the snapshot.
        if checkpoint and team.leads:
            if epoch + 1 in recipe.snapshots:
                training.snapshots[epoch + 1] = file_sha256(snapshot(epoch + 1))
            save(training, checkpoint)
    if training.average:
        network.load_state_dict(training.average.module.state_dict())
    return training.history


def check_augmentation(recipe: Recipe, data: Images) -> None:
    """Raise HarnessError when the images do not allow what the recipe asks for."""
    _, channels, height, width = data.pixels.shape
    if recipe.crop >= min(height, width):
        raise HarnessError(f"recipe.crop: images of {height}x{width} pixels cannot be padded by {recipe.crop}")
    if recipe.autoaugment and (data.pixels.dtype != torch.uint8 or channels != 3):
        raise HarnessError("recipe.autoaugment works on colour images of bytes; these are others")


def run_epoch(
    training: Training,
    model: ForwardPass,
    recipe: Recipe,
    data: Images,
    seed: int,
    epoch: int,
    team: Team,
    after_step: Callable[[int], None],
) -> tuple[float, float]:
    """One pass over the data: mean loss and accuracy."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**64)
    device = data.pixels.device
    batches = [
        batch
        for batch in torch.randperm(len(data.labels), generator=generator).to(device).split(recipe.batch_size)
        if len(batch) >= team.size
    ]
    set_training_mode(training.network, recipe.changes)
    losses, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    for number, batch in enumerate(batches):
        rate = learning_rate(epoch * len(batches) + number, recipe.epochs * len(batches), recipe)
        # Every process augments the whole batch, so that what an image looks like does not depend on their number.
        images, share = as_float(augment(data.pixels[batch], recipe, generator)), team.share(torch.arange(len(batch)))
        samples = Samples(images, data.labels[batch], batch).take(share.to(device))
        with torch.set_grad_enabled(training.optimizer is not None):
            loss, logits = objective(training.network, model, samples, recipe, seed=seed, epoch=epoch)
        descend(training, loss, rate, recipe, team, len(samples) / len(batch))
        losses += loss.detach() * len(samples)
        correct += (logits.argmax(1) == samples.classes).sum()
        after_step(len(batch))
        if number % 50 == 0 and not torch.isfinite(loss):
            raise diverged("the loss", epoch, recipe)
    team.average_statistics(training.network)
    if training.average:
        team.average_statistics(training.average.module)
    seen = sum(len(batch) for batch in batches)
    mean_loss = team.total(losses).item() / seen
    if not math.isfinite(mean_loss):
        raise diverged("the loss", epoch, recipe)
    # The loss of the last step was taken before that step.
    if not all(tensor.isfinite().all() for tensor in training.result.state_dict().values()):
        raise diverged("a weight", epoch, recipe)
    return mean_loss, team.total(correct).item() / seen


def descend(training: Training, loss: Tensor, rate: float, recipe: Recipe, team: Team, weight: float) -> None:
    """One step down the loss, of which this process's images have a `weight`; none where nothing learns."""
    optimizer = training.optimizer
    if optimizer is None:
        return
    set_rate(optimizer, rate)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    team.sum_gradients(training.network.parameters(), weight)
    if recipe.gradient_clip:
        nn.utils.clip_grad_norm_(training.network.parameters(), recipe.gradient_clip)
    optimizer.step()
    if training.average:
        training.average.update_parameters(training.network)


def diverged(what: str, epoch: int, recipe: Recipe) -> HarnessError:
    """What to do about a loss or a weight that is not finite."""
    return HarnessError(
        f"training diverged in epoch {epoch + 1}: {what} is not finite.\n"
        f"     lower recipe.learning_rate ({recipe.learning_rate:g}), raise recipe.warmup, or set recipe.gradient_clip "
        f"({recipe.gradient_clip or 'off'}; 1.0 suits networks without normalization)"
    )


@torch.no_grad()
def accuracy_of(network: nn.Module, data: Images, batch_size: int = TEST_BATCH) -> float:
    """Share of images classified correctly in eval mode and float32."""
    network.eval()
    layout = layout_of(network, data.pixels.device)
    correct = 0
    for rows in torch.split(torch.arange(len(data.labels), device=data.labels.device), batch_size):
        images = as_float(data.pixels[rows]).contiguous(memory_format=layout)
        correct += int((network(images).argmax(1) == data.labels[rows]).sum())
    return correct / len(data.labels)
