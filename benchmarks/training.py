"""The trainer against a plain loop: a DataLoader, torchvision's transforms, float32, same network and optimizer.

    OMP_NUM_THREADS=1 python benchmarks/training.py --out benchmarks/training.md

Both train on the same CIFAR-10 (JPEG) images with crops and flips, in one process, one after the other; the fastest
of a few runs of each counts. Times are CPU seconds of the process on a CPU, which other work on the machine hardly
changes, and wall time on a GPU. The plain loop loads in the main process: on a CPU, workers would compete with the
network for the same cores. The augmentation alone is measured as well, without a network.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from harness.attacks import as_float
from harness.data import Dataset
from harness.data.load import load_dataset
from harness.environment import processor
from harness.models.card import read_card, zoo_cards
from harness.models.from_zoo import build
from harness.models.recipe import Recipe
from harness.train.augment import augment
from harness.train.loop import Images, run_epoch, start
from harness.train.passes import forward_pass
from harness.train.team import Team

BATCH_SIZE = 128


class Pictures(TorchDataset[tuple[Tensor, int]]):
    """Images as torchvision's transforms like them."""

    def __init__(self, data: Dataset) -> None:
        """All pictures are decoded already."""
        self.pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in data.images]
        self.labels = data.labels.tolist()
        self.transform: Callable[[Image.Image], Tensor] = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """An augmented picture and its label."""
        return self.transform(self.pictures[index]), self.labels[index]


def recipe(**changes: Any) -> Recipe:
    """The recipe of the zoo's ResNet-20, for one epoch."""
    given = read_card(zoo_cards()["cifar10-resnet20-bn"]).recipe.model_dump()
    return Recipe.model_validate({**given, "epochs": 1, "batch_size": BATCH_SIZE, **changes})


def network(device: str) -> nn.Module:
    """A fresh ResNet-20 with BatchNorm."""
    return build(read_card(zoo_cards()["cifar10-resnet20-bn"]), "benchmark").to(device).requires_grad_(True)


def by_harness(data: Dataset, device: str, precision: str) -> Callable[[], None]:
    """One epoch of the trainer."""
    images = Images(torch.from_numpy(data.images).to(device), torch.from_numpy(data.labels).to(device))
    asked = recipe(precision=precision)
    model = network(device).to(memory_format=torch.channels_last)
    training = start(model, asked)
    passes = forward_pass(model, asked, torch.device(device))
    return lambda: void(run_epoch(training, passes, asked, images, 0, 0, Team(), lambda count: None))


def by_plain_loop(data: Dataset, device: str) -> Callable[[], None]:
    """One epoch of the loop that tutorials show."""
    loader = DataLoader(Pictures(data), BATCH_SIZE, shuffle=True)
    model = network(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def epoch() -> None:
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def augmentation_by_harness(data: Dataset, device: str) -> Callable[[], None]:
    """The trainer's images without a network."""
    pixels, asked = torch.from_numpy(data.images).to(device), recipe()

    def epoch() -> None:
        generator = torch.Generator().manual_seed(0)
        for batch in torch.randperm(len(pixels), generator=generator).to(device).split(BATCH_SIZE):
            as_float(augment(pixels[batch], asked, generator))

    return epoch


def augmentation_by_loader(data: Dataset) -> Callable[[], None]:
    """The plain loop's images without a network."""
    loader = DataLoader(Pictures(data), BATCH_SIZE, shuffle=True)
    return lambda: void(list(loader))


def void(value: object) -> None:
    """Nothing, whatever was computed."""


def fastest(epoch: Callable[[], None], device: str, repeats: int) -> float:
    """Seconds of the fastest run."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds = []
    for _ in range(repeats):
        begin = clock()
        epoch()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(clock() - begin)
    return min(seconds)


def contenders(data: Dataset, device: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Everything that is measured, the references after what is compared with them."""
    yield "harness, bfloat16", by_harness(data, device, "bfloat16")
    yield "harness, float32", by_harness(data, device, "float32")
    yield "plain loop", by_plain_loop(data, device)
    yield "augmentation alone, harness", augmentation_by_harness(data, device)
    yield "augmentation alone, DataLoader", augmentation_by_loader(data)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5120)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    data = load_dataset("parquet", {"path": "cifar10", "split": "train"}, samples=options.samples)
    rates: dict[str, float] = {}
    for name, epoch in contenders(data, options.device):
        rates[name] = options.samples / fastest(epoch, options.device, options.repeats)
        print(f"{name}: {rates[name]:.0f} images per second", flush=True)
    references = dict.fromkeys(rates, "plain loop")
    references |= {name: "augmentation alone, DataLoader" for name in rates if name.startswith("augmentation")}
    rows = [[name, f"{rate:.0f}", f"{rate / rates[references[name]]:.2f}"] for name, rate in rates.items()]
    table = tabulate(rows, ["", "images per second", "x reference"], "github", disable_numparse=True)
    text = (
        f"# Training a ResNet-20, {options.samples} CIFAR-10 (JPEG) images, batches of {BATCH_SIZE}\n\n"
        f"`python benchmarks/training.py` on {processor()}, {torch.get_num_threads()} threads, {options.device}, torch "
        f"{torch.__version__}, Python {platform.python_version()}. The reference is the plain loop; of augmentation "
        f"alone, the DataLoader.\n\n{table}\n"
    )
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
