"""PGD-20 by harness against torchattacks, foolbox and a bare loop: same model, images, budget, steps and step size.

    python benchmarks/pgd.py --samples 1000 --out benchmarks/pgd.md

Every contender crafts adversarial images and asks the model about them; time covers both. All run in one process,
one after the other, `--repeats` times in turn; the fastest run of each counts. Times are CPU seconds of the process,
which other work on the machine hardly changes; with one thread (OMP_NUM_THREADS=1) they are exact. Ratios are what to
read.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from tabulate import tabulate
from torch import Tensor

from harness.attacks import ATTACKS, Samples, Setting
from harness.core.precision import PassPrecision
from harness.core.threat import ThreatModel
from harness.data.load import load_dataset
from harness.environment import processor
from harness.judging import predict
from harness.models import load_model
from harness.models.classifier import Classifier
from harness.models.prepare import prepare

STEPS = 20
BATCH_SIZE = 128


class Problem(NamedTuple):
    """What every contender is given."""

    model: Classifier
    images: Tensor
    labels: Tensor
    epsilon: float

    @property
    def step_size(self) -> float:
        """A quarter of epsilon: 2/255 at 8/255, the field's usual PGD-20."""
        return self.epsilon / 4

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """Images and labels in batches."""
        return list(zip(self.images.split(BATCH_SIZE), self.labels.split(BATCH_SIZE), strict=True))

    def accuracy(self, adversarial: Tensor) -> float:
        """Share of images that the original model still classifies correctly."""
        predictions = torch.cat([predict(self.model, part) for part in adversarial.split(BATCH_SIZE)])
        return (predictions == self.labels).float().mean().item()


def by_harness(problem: Problem, precision: PassPrecision = "float32") -> float:
    """The harness's own PGD on all images, as the others attack all: slots on the fast twin; the model judges."""
    return problem.accuracy(craft(problem, precision, stop=True))


def by_harness_in_bfloat16(problem: Problem) -> float:
    """The same with `precision = "bfloat16"`: passes of the twin in bfloat16, judging in float32."""
    return by_harness(problem, "bfloat16")


def by_harness_all_steps(problem: Problem) -> float:
    """The same engine on the same twin, without early stop."""
    return problem.accuracy(craft(problem, "float32", stop=False))


def craft(problem: Problem, precision: PassPrecision, *, stop: bool) -> Tensor:
    """Adversarial images from the harness's own PGD."""
    threat = ThreatModel("linf", problem.epsilon)
    fast = prepare(problem.model, problem.images[:16], precision)
    setting = Setting(threat, 0, BATCH_SIZE, stop, fast.slack)
    samples = Samples(problem.images, problem.labels, torch.arange(len(problem.labels)))
    attack = ATTACKS.get("pgd")(steps=STEPS, step_size=problem.step_size)
    adversarial = torch.empty_like(problem.images)
    for part in attack.craft(fast.model, samples, setting):
        adversarial[part.rows] = part.adversarial
    return adversarial


def bare_loop(problem: Problem, model: Callable[[Tensor], Tensor]) -> float:
    """The least that PGD can be: a random start, then forward, backward, sign step and projection."""
    adversarial = []
    for images, labels in problem.batches():
        point = (images + (2 * torch.rand_like(images) - 1) * problem.epsilon).clamp(0, 1)
        for _ in range(STEPS):
            point.requires_grad_()
            loss = torch.nn.functional.cross_entropy(model(point), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, point)
            point = point.detach() + problem.step_size * gradient.sign()
            point = (images + (point - images).clamp(-problem.epsilon, problem.epsilon)).clamp(0, 1)
        adversarial.append(point)
    return problem.accuracy(torch.cat(adversarial))


def bare_on_original(problem: Problem) -> float:
    """The bare loop on the model as it is."""
    return bare_loop(problem, problem.model)


def bare_on_twin(problem: Problem) -> float:
    """The bare loop on the harness's fast twin: what its engine is compared with."""
    return bare_loop(problem, prepare(problem.model, problem.images[:16]).model)


def by_torchattacks(problem: Problem) -> float:
    """torchattacks.PGD in batches."""
    attack = torchattacks_pgd(problem)
    return problem.accuracy(torch.cat([attack(images, labels) for images, labels in problem.batches()]))


def by_torchattacks_at_once(problem: Problem) -> float:
    """torchattacks.PGD on all images in one batch."""
    return problem.accuracy(torchattacks_pgd(problem)(problem.images, problem.labels))


def torchattacks_pgd(problem: Problem) -> Callable[[Tensor, Tensor], Tensor]:
    """torchattacks.PGD with the problem's settings."""
    import torchattacks

    attack: Callable[[Tensor, Tensor], Tensor] = torchattacks.PGD(
        problem.model, eps=problem.epsilon, alpha=problem.step_size, steps=STEPS, random_start=True
    )
    return attack


def by_foolbox(problem: Problem) -> float:
    """foolbox.attacks.LinfPGD."""
    import foolbox
    from foolbox.models.pytorch import PyTorchModel

    wrapped = PyTorchModel(problem.model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=problem.step_size, random_start=True)
    found = [attack(wrapped, images, labels, epsilons=problem.epsilon)[1] for images, labels in problem.batches()]
    return problem.accuracy(torch.cat(found))


CONTENDERS: dict[str, Callable[[Problem], float]] = {
    "harness": by_harness,
    "harness, bfloat16": by_harness_in_bfloat16,
    "harness, no early stop": by_harness_all_steps,
    "bare loop on the fast twin": bare_on_twin,
    "bare loop on the model": bare_on_original,
    "torchattacks.PGD": by_torchattacks,
    "torchattacks.PGD, one batch": by_torchattacks_at_once,
    "foolbox LinfPGD": by_foolbox,
}


def measure(problem: Problem, repeats: int) -> dict[str, tuple[float, float]]:
    """Fastest CPU seconds and robust accuracy of every contender, run in turn after one that does not count."""
    figures: dict[str, tuple[float, float]] = {}
    by_harness_all_steps(problem._replace(images=problem.images[:BATCH_SIZE], labels=problem.labels[:BATCH_SIZE]))
    for _ in range(repeats):
        for name, contender in CONTENDERS.items():
            begin = time.process_time()
            accuracy = contender(problem)
            seconds = time.process_time() - begin
            figures[name] = (min(seconds, figures.get(name, (seconds, 0.0))[0]), accuracy)
            line = f"eps {problem.epsilon * 255:g}/255  {name:28s} {seconds:7.2f} s  robust accuracy {accuracy:.1%}"
            print(line, flush=True)
    return figures


def report(title: str, figures: dict[str, tuple[float, float]]) -> str:
    """A Markdown table of times, ratios and accuracies."""
    ours, in_bfloat16 = figures["harness"][0], figures["harness, bfloat16"][0]
    rows = [
        [name, f"{took:.2f}", f"{took / ours:.2f}", f"{took / in_bfloat16:.2f}", f"{accuracy:.1%}"]
        for name, (took, accuracy) in figures.items()
    ]
    overhead = figures["harness, no early stop"][0] / figures["bare loop on the fast twin"][0] - 1
    table = tabulate(
        rows,
        ["", "CPU seconds", "time / harness", "time / harness, bfloat16", "robust accuracy"],
        "github",
        disable_numparse=True,
    )
    return f"### {title}\n\n{table}\n\nOverhead of the engine over the bare loop on the same twin: {overhead:+.1%}.\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["zoo:cifar10-resnet20-bn", "zoo:cifar10-resnet20-none"])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    data = load_dataset("parquet", {"path": "cifar10"}, samples=options.samples)
    images, labels = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)
    head = (
        f"# PGD-{STEPS}, step eps/4, {len(labels)} CIFAR-10 (JPEG) test images, batches of {BATCH_SIZE}\n\n"
        f"`python benchmarks/pgd.py --samples {options.samples}` on {processor()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}. Fastest of {options.repeats} runs in turn.\n"
    )
    parts = [head]
    for name in options.models:
        for epsilon in (8 / 255, 1 / 255):
            problem = Problem(load_model(name), images, labels, epsilon)
            figures = measure(problem, options.repeats)
            parts.append(report(f"{name}, eps {epsilon * 255:g}/255", figures))
    text = "\n".join(parts)
    print("\n" + text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
