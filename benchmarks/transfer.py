"""A transfer matrix by harness against torchattacks and a plain scoring loop: same models, images, budget and steps.

    python benchmarks/transfer.py --samples 256 --out benchmarks/transfer.md

Both craft with every attack on every surrogate, all steps, and ask every target about the images, in batches of the
same size, in float32. Harness runs as it runs a suite: clean predictions, crafting on the fast twin, verification of
every image, judging by the original models, outcomes of every sample. The floor is what the passes alone would need:
those of crafting at the measured time of a pass of the twin, those of judging at that of the original, both in full
batches. Times are CPU seconds of the process; use one thread (OMP_NUM_THREADS=1), for idle ones count. A machine that
others share slows down and speeds up by a tenth within minutes, so the floor is measured right before and right after
every run of a contender, and each ratio is the median of `--repeats` ratios of neighbours in time.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torchattacks
from tabulate import tabulate
from torch import Tensor

from harness.attacks.resolve import resolve
from harness.core.threat import ThreatModel
from harness.crafting import CraftJob
from harness.data import Dataset
from harness.data.load import load_dataset
from harness.environment import processor
from harness.judging import Arena, predict, run_clean
from harness.models import load_model
from harness.models.classifier import Classifier
from harness.models.prepare import prepare
from harness.surrogate import Surrogate

BATCH_SIZE = 128
EPSILON = 8 / 255
STEPS = 10
STEP_SIZE = EPSILON / STEPS
DIVERSE = {"probability": 0.5, "smallest": 0.9, "largest": 1.0}

ATTACKS: dict[str, tuple[dict[str, Any], Callable[[Classifier], Any]]] = {
    "i-fgsm": ({}, lambda model: torchattacks.BIM(model, eps=EPSILON, alpha=STEP_SIZE, steps=STEPS)),
    "mi-fgsm": ({}, lambda model: torchattacks.MIFGSM(model, eps=EPSILON, alpha=STEP_SIZE, steps=STEPS)),
    "di-fgsm": (
        DIVERSE,
        lambda model: torchattacks.DIFGSM(
            model, eps=EPSILON, alpha=STEP_SIZE, steps=STEPS, resize_rate=0.9, diversity_prob=0.5
        ),
    ),
    # That of torchattacks has diverse inputs in it; without them it is TI alone.
    "ti-fgsm": (
        {"kernel_size": 7},
        lambda model: torchattacks.TIFGSM(
            model, eps=EPSILON, alpha=STEP_SIZE, steps=STEPS, len_kernel=7, diversity_prob=0.0
        ),
    ),
}
"""By name: arguments of ours, and the attack of torchattacks."""


class Matrix(NamedTuple):
    """What both are given."""

    surrogates: dict[str, Classifier]
    targets: dict[str, Classifier]
    data: Dataset

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) in [0, 1]."""
        return torch.from_numpy(self.data.images).float() / 255

    @property
    def labels(self) -> Tensor:
        """(N,)."""
        return torch.from_numpy(self.data.labels)


Rates = dict[tuple[str, str, str], float]
"""Surrogate, attack and target to the share of images that the target gets wrong."""

Rated = dict[str, Rates]
"""By contender."""

Times = dict[str, list[tuple[float, float]]]
"""By contender: seconds of every repeat, and those of the floor measured around it."""


def by_harness(matrix: Matrix) -> Rates:
    """Jobs as a suite has them."""
    arena = Arena(matrix.data, torch.device("cpu"), BATCH_SIZE)
    clean = {name: run_clean(model, arena)["clean_prediction"].to_numpy() for name, model in matrix.targets.items()}
    nothing = np.zeros(len(matrix.labels), dtype=bool)
    threat = ThreatModel("linf", EPSILON)
    rates: Rates = {}
    for surrogate, model in matrix.surrogates.items():
        crafting = Surrogate(model)
        for attack, (arguments, _) in ATTACKS.items():
            given = {"steps": STEPS, "step_size": STEP_SIZE, **arguments}
            job = CraftJob(resolve(attack, given, threat, {}), threat, 0, 10, whitebox=False)
            wrong = dict.fromkeys(matrix.targets, 0)
            for outcomes in job.run(crafting, matrix.targets, clean, arena, nothing):
                for target, frame in outcomes.items():
                    wrong[target] += int(frame["success"].sum())
            rates |= {(surrogate, attack, target): count / len(nothing) for target, count in wrong.items()}
    return rates


def by_torchattacks(matrix: Matrix) -> Rates:
    """Its attacks in batches, and every target asked about the images."""
    batches = list(zip(matrix.images.split(BATCH_SIZE), matrix.labels.split(BATCH_SIZE), strict=True))
    for model in matrix.targets.values():
        for images, _ in batches:
            plain_prediction(model, images)
    rates: Rates = {}
    for surrogate, model in matrix.surrogates.items():
        for name, (_, make) in ATTACKS.items():
            attack = make(model)
            wrong = dict.fromkeys(matrix.targets, 0)
            for images, labels in batches:
                adversarial = attack(images, labels)
                for target, judge in matrix.targets.items():
                    wrong[target] += int((plain_prediction(judge, adversarial) != labels).sum())
            rates |= {(surrogate, name, target): count / len(matrix.labels) for target, count in wrong.items()}
    return rates


@torch.no_grad()
def plain_prediction(model: Classifier, images: Tensor) -> Tensor:
    """As anyone would ask."""
    classes: Tensor = model(images).argmax(1)
    return classes


def floor(matrix: Matrix) -> float:
    """Seconds of the passes alone."""
    images, labels = matrix.images[:BATCH_SIZE], matrix.labels[:BATCH_SIZE]
    batches = len(matrix.labels) / len(images)
    seconds = 0.0
    for model in matrix.surrogates.values():
        twin = prepare(model, images[:16]).model

        def both(twin: torch.nn.Module = twin) -> None:
            points = images.clone().requires_grad_()
            loss = torch.nn.functional.cross_entropy(twin(points), labels, reduction="sum")
            torch.autograd.grad(loss, points)

        seconds += len(ATTACKS) * STEPS * batches * usual(both)
    asked = 1 + len(ATTACKS) * len(matrix.surrogates)
    for model in matrix.targets.values():
        seconds += asked * batches * usual(partial(predict, model, images))
    return seconds


def usual(run: Callable[[], object], times: int = 5) -> float:
    """CPU seconds of a run: the median of a few."""
    return float(np.median([cpu_seconds(run) for _ in range(times)]))


def cpu_seconds(run: Callable[[], object]) -> float:
    """Of this process, while something runs."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def first(data: Dataset, count: int) -> Dataset:
    """Some of its images."""
    return replace(data, images=data.images[:count], labels=data.labels[:count], indices=data.indices[:count])


def race(matrix: Matrix, contenders: Mapping[str, Callable[[Matrix], Rates]], repeats: int) -> tuple[Times, Rated]:
    """Times of every contender and of the floor around it, and the success rates of the last repeat."""
    times: Times = {name: [] for name in contenders}
    rated: Rated = {}
    for run in contenders.values():  # What is imported at the first use counts for nobody.
        run(matrix._replace(data=first(matrix.data, 16)))
    before = floor(matrix)
    for _ in range(repeats):
        for name, run in contenders.items():
            begin = time.process_time()
            rated[name] = run(matrix)
            seconds, after = time.process_time() - begin, floor(matrix)
            times[name].append((seconds, (before + after) / 2))
            before = after
    return times, rated


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    zoo = "zoo:benz2021-{}-fast"
    names = ("alexnet-bn", "vgg16-bn", "resnet50-bn", "densenet121-bn", "resnext29-bn", "wrn28-bn")
    parser.add_argument("--surrogates", nargs="+", default=[zoo.format("resnet18-bn"), zoo.format("resnet18-none")])
    parser.add_argument("--targets", nargs="+", default=[zoo.format(name) for name in names])
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    data = load_dataset("parquet", {"path": "cifar10"}, samples=options.samples)
    surrogates, targets = ({name: load_model(name) for name in ids} for ids in (options.surrogates, options.targets))
    matrix = Matrix(surrogates, targets, data)
    contenders = {"harness": by_harness, "torchattacks and a scoring loop": by_torchattacks}
    times, rates = race(matrix, contenders, options.repeats)
    ours, theirs = (rates[name] for name in contenders)
    _, reference = (np.array(pairs)[:, 0] for pairs in times.values())
    rows = []
    for name, pairs in times.items():
        seconds, floors = np.array(pairs).T
        rows.append([
            name, f"{np.median(seconds):.1f}", f"{np.median(seconds / reference):.2f}",
            f"{np.median(seconds / floors):.2f}", f"{np.mean(list(rates[name].values())):.1%}",
        ])  # fmt: skip
    every_floor = [floor for pairs in times.values() for _, floor in pairs]
    headers = ["", "CPU seconds", "time / torchattacks", "time / floor", "mean success, all images"]
    shape = f"{len(matrix.surrogates)} surrogates x {len(ATTACKS)} attacks x {len(matrix.targets)} targets"
    largest = {attack: max(abs(ours[key] - theirs[key]) for key in ours if key[1] == attack) for attack in ATTACKS}
    text = (
        f"# Transfer matrix: {shape}, {len(data.labels)} CIFAR-10 (JPEG) test images, float32\n\n"
        f"On {processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}; L∞ 8/255, {STEPS} steps, batches of {BATCH_SIZE}; "
        f"floor {np.median(every_floor):.1f} s, medians of {options.repeats} repeats.\n\n"
        f"Surrogates: {', '.join(matrix.surrogates)}. Targets: {', '.join(matrix.targets)}.\n\n"
        f"{tabulate(rows, headers, 'github', disable_numparse=True)}\n\n"
        "Largest difference of a success rate between the two: "
        f"{', '.join(f'{attack} {value:.1%}' for attack, value in largest.items())}.\n"
    )
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
