"""AutoAttack by harness against the official package: same model, images and budget; time, accuracy, agreement.

    python benchmarks/auto_attack.py --samples 200 --out benchmarks/auto_attack.md

Everything runs in one process. Harness runs as it runs a white-box cell: clean predictions, crafting, verification of
every image, judging by the original model in float32. The official package (extra `autoattack`) gets the same images
in batches of the same size; without it, only harness is measured. The floor is what harness would need if nothing but
its passes took time: the passes it spent, at the measured time of a pass in a full batch. Times are CPU seconds of
the process, which other work on the machine hardly changes; with one thread (OMP_NUM_THREADS=1) they are exact.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from tabulate import tabulate
from torch import Tensor

from harness.attacks.resolve import resolve
from harness.core.precision import Precision, stages
from harness.core.threat import Norm, ThreatModel
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

FORWARD_ONLY = ("square",)
"""Members whose passes have no backward half."""


class Problem(NamedTuple):
    """What both are given."""

    model: Classifier
    data: Dataset
    threat: ThreatModel
    attack: str

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) in [0, 1]."""
        return torch.from_numpy(self.data.images).float() / 255

    @property
    def labels(self) -> Tensor:
        """(N,)."""
        return torch.from_numpy(self.data.labels)


class Answer(NamedTuple):
    """What one of them finds."""

    seconds: float
    robust: Tensor
    """(N,) still classified correctly."""
    passes: float
    """Per image; NaN where nobody counts."""
    floor: float
    """Seconds that the passes alone need; NaN likewise."""


def by_harness(problem: Problem, precision: Precision) -> Answer:
    """A white-box cell."""
    attack = resolve(problem.attack, {}, problem.threat, {})
    arena = Arena(problem.data, torch.device("cpu"), BATCH_SIZE)
    job = CraftJob(attack, problem.threat, 0, 10, whitebox=True, precision=precision)
    begin = time.process_time()
    clean = {"cell": run_clean(problem.model, arena)["clean_prediction"].to_numpy()}
    nothing = np.zeros(len(problem.labels), dtype=bool)
    parts = list(job.run(Surrogate(problem.model), {"cell": problem.model}, clean, arena, nothing))
    seconds = time.process_time() - begin
    outcomes = pd.concat([part["cell"] for part in parts]).set_index("index").loc[problem.data.indices]
    robust = torch.tensor((outcomes["adversarial_prediction"] == outcomes["label"]).tolist())
    passes = outcomes["passes"].to_numpy()
    return Answer(seconds, robust, float(passes.mean()), floor_of(problem, precision, outcomes, attack.attack.members))


def floor_of(problem: Problem, precision: Precision, outcomes: pd.DataFrame, members: tuple[str, ...]) -> float:
    """Seconds of all passes in full batches; the queries of survivors' last member have no backward half."""
    _, both = seconds_per_image(problem, stages(precision)[-1])
    # Scores are compared in float32.
    forward, _ = seconds_per_image(problem, "float32")
    if problem.attack in FORWARD_ONLY:
        return int(outcomes["passes"].sum()) * forward
    queries = 5001 * int((outcomes["member"] == len(members) - 1).sum()) if members[-1:] == FORWARD_ONLY else 0
    return queries * forward + (int(outcomes["passes"].sum()) - queries) * both


def seconds_per_image(problem: Problem, precision: str) -> tuple[float, float]:
    """Of a forward, and of a forward and backward pass of the fast twin in a full batch."""
    model = prepare(problem.model, problem.images[:16], precision).model  # type: ignore[arg-type]
    images = problem.images[:BATCH_SIZE]
    classes = problem.labels[:BATCH_SIZE]

    def forward() -> None:
        with torch.no_grad():
            model(images)

    def both() -> None:
        points = images.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(model(points), classes, reduction="sum")
        torch.autograd.grad(loss, points)

    return fastest(forward) / len(images), fastest(both) / len(images)


def fastest(run: object, times: int = 5) -> float:
    """Seconds of the fastest of a few runs."""
    seconds = []
    for _ in range(times):
        begin = time.process_time()
        run()  # type: ignore[operator]
        seconds.append(time.process_time() - begin)
    return min(seconds)


def by_official(problem: Problem) -> Answer:
    """The official package."""
    from autoattack import AutoAttack

    norm = {"linf": "Linf", "l2": "L2", "l1": "L1"}[problem.threat.norm]
    begin = time.process_time()
    whole = problem.attack == "autoattack"
    attack = AutoAttack(
        problem.model,
        norm=norm,
        eps=problem.threat.epsilon,
        version="standard" if whole else "custom",
        attacks_to_run=[] if whole else [problem.attack],
        seed=0,
        verbose=False,
        device="cpu",
    )
    adversarial = attack.run_standard_evaluation(problem.images, problem.labels, bs=BATCH_SIZE)
    robust = torch.cat([predict(problem.model, part) for part in adversarial.split(BATCH_SIZE)]) == problem.labels
    return Answer(time.process_time() - begin, robust, float("nan"), float("nan"))


def compare(problem: Problem, policies: list[Precision], *, official: bool) -> str:
    """A Markdown table."""
    answers = {f"harness, {policy}": by_harness(problem, policy) for policy in policies}
    for name, answer in answers.items():
        print(f"{name}: {answer.seconds:.1f} s, robust {answer.robust.float().mean():.1%}", flush=True)
    if official:
        answers["official package"] = by_official(problem)
        print(f"official: {answers['official package'].seconds:.1f} s", flush=True)
    reference = list(answers.values())[-1]
    rows = [
        [
            name, f"{answer.seconds:.1f}", f"{answer.seconds / reference.seconds:.2f}",
            f"{answer.robust.float().mean():.1%}", f"{(answer.robust == reference.robust).float().mean():.1%}",
            counted(answer.passes), counted(answer.floor),
        ]
        for name, answer in answers.items()
    ]  # fmt: skip
    headers = [
        "",
        "CPU seconds",
        "time / last row",
        "robust accuracy",
        "agrees with last row",
        "passes per image",
        "floor, s",
    ]
    return str(tabulate(rows, headers, "github", disable_numparse=True))


def counted(value: float) -> str:
    """A number, or a dash where nobody counts."""
    return "-" if value != value else f"{value:.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["zoo:cifar10-resnet20-bn", "zoo:cifar10-resnet20-none"])
    parser.add_argument("--norm", default="linf")
    parser.add_argument("--epsilons", nargs="+", type=float, default=[8, 1], help="in units of 1/255")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--attack", default="autoattack", help="or a member of it alone: apgd-ce, fab-t, square")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--no-official", action="store_true")
    parser.add_argument("--out", type=Path, help="also append the tables to this file")
    options = parser.parse_args()
    norm: Norm = options.norm
    data = load_dataset("parquet", {"path": "cifar10"}, samples=options.samples)
    print(
        f"{options.attack}, {len(data.labels)} CIFAR-10 (JPEG) test images, batches of {BATCH_SIZE}, on {processor()}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}\n"
    )
    for name in options.models:
        for epsilon in options.epsilons:
            problem = Problem(load_model(name), data, ThreatModel(norm, epsilon / 255), options.attack)
            table = compare(problem, options.precision, official=not options.no_official)
            text = f"### {name}, {problem.threat.label}\n\n{table}\n"
            print(text, flush=True)
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(text + "\n")


if __name__ == "__main__":
    main()
