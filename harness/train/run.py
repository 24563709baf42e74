"""`harness train CARD`: from a card to a checkpoint beside it."""

from __future__ import annotations

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
from harness.models.card import file_sha256, read_card, weights_path, write_result, zoo_cards
from harness.models.from_zoo import build
from harness.train.loop import Epoch, Images, train


def find_card(name: str) -> Path:
    """A card by file or by zoo name. Raises HarnessError for an unknown one."""
    path = Path(name)
    if path.suffix == ".toml" and path.exists():
        return path
    cards = zoo_cards()
    if path.stem not in cards:
        raise HarnessError(f'no model card "{name}".\n     {did_you_mean(path.stem, cards)}')
    return cards[path.stem]


def train_card(name: str, *, device: str = "cpu", quiet: bool = False, force: bool = False) -> dict[str, Any]:
    """Train a card's network, write weights and result beside it, and return the result.

    A finished card is left alone unless `force`; an interrupted one goes on from its last epoch.

    Raises:
        HarnessError: for an unknown card, missing data, or a run that diverges.
    """
    path = find_card(name)
    card = read_card(path)
    console = Console(stderr=True, quiet=quiet)
    if card.result and weights_path(path).exists() and not force:
        console.print(f"{path.stem} is trained already (clean accuracy {card.result['clean_accuracy']:.2%}); --force trains it anew")
        return card.result
    train_source, test_source = load(card.train_data), load(card.test_data)
    classifier = build(card, path.stem).to(device)
    checkpoint = Path(os.environ.get("HARNESS_STORE", ".harness")) / "training" / f"{path.stem}.checkpoint.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if force:
        checkpoint.unlink(missing_ok=True)
    classifier.requires_grad_(True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal or quiet) as progress:
        task = progress.add_task(path.stem, total=card.recipe.epochs * len(train_source.labels))

        def report(epoch: Epoch) -> None:
            progress.update(task, completed=epoch.epoch * len(train_source.labels))
            console.print(
                f"{path.stem}  epoch {epoch.epoch}/{card.recipe.epochs}  loss {epoch.loss:.3f}  "
                f"train {epoch.train_accuracy:.1%}  test {epoch.test_accuracy:.1%}  {epoch.seconds:.1f} s"
            )

        history = train(
            classifier, card.recipe, on_device(train_source, device), on_device(test_source, device), seed=card.seed,
            checkpoint=checkpoint, after_epoch=report, after_step=lambda images: progress.advance(task, images),
        )  # fmt: skip
    state = {name: tensor.contiguous().cpu() for name, tensor in classifier.network.state_dict().items()}
    temporary = weights_path(path).with_suffix(".tmp")
    save_file(state, temporary)
    temporary.replace(weights_path(path))
    result = {
        "sha256": file_sha256(weights_path(path)),
        "clean_accuracy": history[-1].test_accuracy,
        "test_images": len(test_source.labels),
        "train_accuracy": history[-1].train_accuracy,
        "train_data": train_source.name,
        "test_data": test_source.name,
        "train_fingerprint": train_source.fingerprint,
        "test_fingerprint": test_source.fingerprint,
        "epochs": len(history),
        "seconds": round(sum(epoch.seconds for epoch in history), 1),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine(),
        "torch": torch.__version__,
        "losses": [round(epoch.loss, 4) for epoch in history],
        "test_accuracies": [epoch.test_accuracy for epoch in history],
    }
    write_result(path, result)
    checkpoint.unlink()
    return result


def load(keys: dict[str, Any]) -> Dataset:
    """A whole data set from a card's `train_data` or `test_data` table."""
    return load_dataset(keys.get("id", ""), {key: value for key, value in keys.items() if key != "id"}, indices="first")


def on_device(data: Dataset, device: str) -> Images:
    """Pixels and labels as tensors on the device."""
    return Images(torch.from_numpy(data.images).to(device), torch.from_numpy(data.labels).to(device))
