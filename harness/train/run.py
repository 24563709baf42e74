"""`harness train CARD`: from a card to weights beside it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from harness.core import cards
from harness.core.bfloat16 import SLOW, is_slow_in_bfloat16
from harness.core.errors import HarnessError
from harness.data import Dataset
from harness.data.load import load_dataset
from harness.models import load_model
from harness.models.card import Card, DataKeys, read_card, weights_path, write_result, zoo_cards
from harness.models.classifier import Classifier
from harness.models.from_zoo import build, trained
from harness.models.weights import load_strictly, read_state
from harness.train.checkpoint import Epoch
from harness.train.curve import write_curve
from harness.train.finished import check_start, is_finished, lost_weights
from harness.train.fit import check_fit
from harness.train.loop import Images, train
from harness.train.result import Comparison, Origin, compare, measure, result_of
from harness.train.team import Team, assemble
from harness.train.weights import write_weights


def find_card(name: str) -> Path:
    """A card by file, or by zoo name with or without "zoo:". Raises HarnessError for an unknown one."""
    return cards.find_card(name.removeprefix("zoo:"), zoo_cards(), "model card")


def train_card(name: str, *, device: str = "cpu", quiet: bool = False, force: bool = False) -> dict[str, Any]:
    """Train a card's network, write weights, curve and result beside it, and return the result.

    A finished card, which has all weights of its result, is left alone unless `force`; an interrupted one goes on from
    its last epoch.

    Under a launcher every process calls this; the first one writes, the others return nothing.

    Raises:
        HarnessError: for an unknown card, a finished one that was changed since, or whose start was, unless `force`,
            files that cannot be written, missing data or starting weights, data that do not fit the network, a
            checkpoint that cannot be used, or a run that diverges.
    """
    path = find_card(name)
    card = read_card(path)
    team = assemble(device)
    device = team.device(device)
    console = Console(stderr=True, quiet=quiet or not team.leads, highlight=False, soft_wrap=True)
    if not force and is_finished(path, card):
        accuracy = card.result["clean_accuracy"]
        console.print(f"{path.stem} is trained already (clean accuracy {accuracy:.2%}); --force trains it anew")
        return card.result
    if card.result and not force:
        console.print(f"{path.stem}: not all weights of its result are there ({lost_weights(path, card)[0]})")
    cards.check_folder(checkpoints_folder(), "name another store with HARNESS_STORE")
    cards.check_folder(path.parent, "copy the card to ./model_zoo and train it there")
    data = load(card.train_data, "train_data"), load(card.test_data, "test_data")
    start = load_model(card.start) if card.start else None
    classifier = begin(card, path.stem, start).to(device)
    check_fit(card, classifier, *data)
    checkpoint = checkpoint_path(path, card, data, classifier)

    def keep(epoch: Epoch, network: nn.Module) -> None:
        if epoch.epoch in card.recipe.snapshots and team.leads:
            write_weights(network, card, weights_path(path, epoch.epoch))

    if card.recipe.precision == "bfloat16" and is_slow_in_bfloat16(torch.device(device)):
        console.print(f'{SLOW}: precision = "float32" in the recipe is faster')
    history = train_with_progress(classifier, card, path, data, checkpoint, team, console, keep)
    if not team.leads:
        return {}
    write_weights(classifier, card, weights_path(path))
    # What is measured is what was written, rounded where the card says so.
    classifier.network.load_state_dict(read_state(weights_path(path)).tensors)
    classifier.eval().requires_grad_(False)
    measured = measure(classifier, card, data[1], torch.device(device))
    origin = Origin(*data, start.fingerprint if start else None, device, team.size)
    result = result_of(path, card, history, measured, origin)
    write_result(path, result)
    write_curve(path, history)
    checkpoint.unlink()
    return result


def verify_card(name: str, *, device: str = "cpu") -> list[Comparison]:
    """Measure a trained card's weights again: its accuracies beside what they are now.

    Raises:
        HarnessError: for a card that is unknown or was not trained, weights that are not the card's, missing data, and
            data or a start that are not those of the card.
    """
    path = find_card(name)
    card = read_card(path)
    classifier = trained(path, card, name.removeprefix("zoo:")).to(device)
    check_start(path, card)
    if load(card.train_data, "train_data").fingerprint != card.result.get("train_fingerprint"):
        raise HarnessError(f"{path}: the training data are not those that the card was trained on")
    test_set = load(card.test_data, "test_data")
    if test_set.fingerprint != card.result.get("test_fingerprint"):
        raise HarnessError(f"{path}: the test data are not those that the card was measured on")
    return compare(card.result, measure(classifier, card, test_set, torch.device(device)))


def begin(card: Card, name: str, start: Classifier | None) -> Classifier:
    """The classifier before training: from the card's seed, or with the weights of the model that it starts from."""
    classifier = build(card, name).requires_grad_(True)
    if start:
        load_strictly(classifier.network, start.network.state_dict(), f"{name}: {card.start}")
    return classifier


def train_with_progress(
    classifier: Classifier,
    card: Card,
    path: Path,
    data: tuple[Dataset, Dataset],
    checkpoint: Path,
    team: Team,
    console: Console,
    keep: Callable[[Epoch, nn.Module], None],
) -> list[Epoch]:
    """The training loop, with a bar on terminals and a line per epoch."""
    name = path.stem
    train_images, test_images = (on_device(part, classifier.mean.device) for part in data)
    epochs, images = card.recipe.epochs, len(train_images.labels)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal or console.quiet) as progress:
        task = progress.add_task(name, total=epochs * images)

        def report(epoch: Epoch, network: nn.Module) -> None:
            keep(epoch, network)
            progress.update(task, completed=epoch.epoch * images)
            console.print(
                f"{name}  epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.3f}  "
                f"train {epoch.train_accuracy:.1%}  test {epoch.test_accuracy:.1%}  {epoch.seconds:.1f} s"
            )

        return train(
            classifier, card.recipe, train_images, test_images, seed=card.seed, team=team, checkpoint=checkpoint,
            snapshot=partial(weights_path, path), after_epoch=report,
            after_step=lambda count: progress.advance(task, count),
        )  # fmt: skip


def checkpoint_path(path: Path, card: Card, data: tuple[Dataset, Dataset], start: Classifier) -> Path:
    """Where a training keeps its state. A changed card, other data or another start is another training."""
    identity = [card.asked, *(part.fingerprint for part in data), start.fingerprint]
    digest = hashlib.sha256(json.dumps(identity).encode())
    return checkpoints_folder() / f"{path.stem}-{digest.hexdigest()[:12]}.checkpoint.pt"


def checkpoints_folder() -> Path:
    """Where unfinished trainings are kept: `training` in the store (HARNESS_STORE, else `.harness`)."""
    return Path(os.environ.get("HARNESS_STORE") or ".harness") / "training"


def load(keys: DataKeys, where: str) -> Dataset:
    """A whole data set from a card's `train_data` or `test_data` table. Raises HarnessError naming the table."""
    try:
        return load_dataset(keys.id, keys.arguments, indices="first")
    except HarnessError as error:
        raise HarnessError(f"{where}: {error}") from None


def on_device(data: Dataset, device: torch.device) -> Images:
    """Pixels and labels as tensors on the device."""
    return Images(torch.from_numpy(data.images).to(device), torch.from_numpy(data.labels).to(device))
