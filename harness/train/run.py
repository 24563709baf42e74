"""`harness train CARD`: from a card to a checkpoint beside it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import save_file

from harness.core.errors import HarnessError, did_you_mean
from harness.data import Dataset
from harness.data.load import load_dataset
from harness.models.card import Card, DataKeys, file_sha256, read_card, weights_path, write_result, zoo_cards
from harness.models.classifier import Classifier
from harness.models.from_zoo import build
from harness.train.checkpoint import Epoch
from harness.train.loop import Images, train


def find_card(name: str) -> Path:
    """A card by file or by zoo name. Raises HarnessError for an unknown one."""
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return path
    cards = zoo_cards()
    if path.stem not in cards:
        raise HarnessError(f'there is no model card "{name}".\n     {did_you_mean(path.stem, cards)}')
    return cards[path.stem]


def train_card(name: str, *, device: str = "cpu", quiet: bool = False, force: bool = False) -> dict[str, Any]:
    """Train a card's network, write weights and result beside it, and return the result.

    A finished card is left alone unless `force`; an interrupted one goes on from its last epoch.

    Raises:
        HarnessError: for an unknown card, missing data, a checkpoint that cannot be read, or a run that diverges.
    """
    path = find_card(name)
    card = read_card(path)
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    if "clean_accuracy" in card.result and weights_path(path).exists() and not force:
        accuracy = card.result["clean_accuracy"]
        console.print(f"{path.stem} is trained already (clean accuracy {accuracy:.2%}); --force trains it anew")
        return card.result
    train_set, test_set = load(card.train_data, "train_data"), load(card.test_data, "test_data")
    classifier = build(card, path.stem).to(device).requires_grad_(True)
    checkpoint = checkpoint_path(path, card, train_set)
    history = train_with_progress(classifier, card, path.stem, (train_set, test_set), checkpoint, device, console)
    write_weights(classifier, weights_path(path))
    result = result_of(history, train_set, test_set, file_sha256(weights_path(path)), device)
    write_result(path, result)
    checkpoint.unlink()
    return result


def train_with_progress(
    classifier: Classifier,
    card: Card,
    name: str,
    data: tuple[Dataset, Dataset],
    checkpoint: Path,
    device: str,
    console: Console,
) -> list[Epoch]:
    """The training loop, with a bar on terminals and a line per epoch."""
    train_images, test_images = (on_device(part, device) for part in data)
    epochs, images = card.recipe.epochs, len(train_images.labels)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal or console.quiet) as progress:
        task = progress.add_task(name, total=epochs * images)

        def report(epoch: Epoch) -> None:
            progress.update(task, completed=epoch.epoch * images)
            console.print(
                f"{name}  epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.3f}  "
                f"train {epoch.train_accuracy:.1%}  test {epoch.test_accuracy:.1%}  {epoch.seconds:.1f} s"
            )

        return train(
            classifier, card.recipe, train_images, test_images, seed=card.seed, checkpoint=checkpoint,
            after_epoch=report, after_step=lambda count: progress.advance(task, count),
        )  # fmt: skip


def checkpoint_path(path: Path, card: Card, data: Dataset) -> Path:
    """Where a training keeps its state. A changed card or other data is another training, with another file."""
    asked = card.model_dump(mode="json", exclude={"result", "summary", "test_data"})
    digest = hashlib.sha256(json.dumps([asked, data.fingerprint], sort_keys=True).encode()).hexdigest()
    folder = Path(os.environ.get("HARNESS_STORE") or ".harness") / "training"
    return folder / f"{path.stem}-{digest[:12]}.checkpoint.pt"


def write_weights(classifier: Classifier, path: Path) -> None:
    """Write the network's state, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    state = {name: tensor.contiguous().cpu() for name, tensor in classifier.network.state_dict().items()}
    save_file(state, temporary)
    temporary.replace(path)


def result_of(history: list[Epoch], train_set: Dataset, test_set: Dataset, sha256: str, device: str) -> dict[str, Any]:
    """What the card says about a finished training."""
    return {
        "sha256": sha256,
        "clean_accuracy": history[-1].test_accuracy,
        "test_images": len(test_set.labels),
        "train_accuracy": history[-1].train_accuracy,
        "train_data": train_set.name,
        "test_data": test_set.name,
        "train_fingerprint": train_set.fingerprint,
        "test_fingerprint": test_set.fingerprint,
        "epochs": len(history),
        "seconds": round(sum(epoch.seconds for epoch in history), 1),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine(),
        "torch": torch.__version__,
        "losses": [round(epoch.loss, 4) for epoch in history],
        "test_accuracies": [epoch.test_accuracy for epoch in history],
    }


def load(keys: DataKeys, where: str) -> Dataset:
    """A whole data set from a card's `train_data` or `test_data` table. Raises HarnessError naming the table."""
    try:
        return load_dataset(keys.id, keys.arguments, indices="first")
    except HarnessError as error:
        raise HarnessError(f"{where}: {error}") from None


def on_device(data: Dataset, device: str) -> Images:
    """Pixels and labels as tensors on the device."""
    return Images(torch.from_numpy(data.images).to(device), torch.from_numpy(data.labels).to(device))
