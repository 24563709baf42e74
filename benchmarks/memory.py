"""Peak memory of attacks by harness against a bare loop on the same model and batches.

    python benchmarks/memory.py --out benchmarks/memory.md

Every contender runs in a process of its own. Its peak is the largest resident size that it reaches beyond what the
process held once model, images and libraries were in place; on a GPU, the largest allocation. Harness runs whole
white-box cells: clean predictions, crafting, verification, judging. Budgets are far too small to fool anything, so
that batches stay full; steps are few, since memory does not grow with them.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from harness.attacks.resolve import resolve
from harness.core.precision import Precision
from harness.core.threat import ThreatModel
from harness.crafting import CraftJob
from harness.data.load import load_dataset
from harness.environment import processor
from harness.judging import Arena, run_clean
from harness.models import load_model
from harness.models.classifier import Classifier
from harness.surrogate import Surrogate

EPSILON = 1e-6

CONTENDERS: dict[str, dict[str, Any]] = {
    "pgd": {"steps": 3},
    "mi-fgsm": {"steps": 3},
    "apgd-ce": {"steps": 3},
    "apgd-t": {"steps": 3, "targets": 2},
    "fab-t": {"steps": 3, "targets": 2},
    "square": {"queries": 10},
}
"""Attacks by harness, and the few steps that they make."""


def bare_loop(model: Classifier, arena: Arena) -> None:
    """Forward, backward, sign step and projection."""
    for images, labels in zip(arena.images.split(arena.batch_size), arena.labels.split(arena.batch_size), strict=True):
        clean = images.float() / 255
        point = clean
        for _ in range(3):
            point.requires_grad_()
            loss = torch.nn.functional.cross_entropy(model(point), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, point)
            point = (point.detach() + EPSILON * gradient.sign()).clamp(0, 1)


def whitebox_cell(model: Classifier, arena: Arena, attack: str, precision: Precision) -> None:
    """A cell as the runner computes it."""
    threat = ThreatModel("linf", EPSILON)
    job = CraftJob(resolve(attack, CONTENDERS[attack], threat, {}), threat, 0, 10, whitebox=True, precision=precision)
    clean = {"cell": run_clean(model, arena)["clean_prediction"].to_numpy()}
    for _ in job.run(Surrogate(model), {"cell": model}, clean, arena, np.zeros(len(arena.dataset.labels), dtype=bool)):
        pass


def measure(options: argparse.Namespace) -> float:
    """MiB that a contender needs at its peak."""
    device = torch.device(options.device)
    model = load_model(options.model).to(device)
    arena = Arena(load_dataset("parquet", {"path": "cifar10"}, samples=options.samples), device, options.batch_size)
    before = 0.0 if device.type == "cuda" else resident()
    if options.contender == "bare loop":
        bare_loop(model, arena)
    else:
        whitebox_cell(model, arena, options.contender, options.precision)
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated() / 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before


def resident() -> float:
    """MiB of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Measure every contender in its own process and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="zoo:cifar10-resnet20-bn")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    if options.contender:
        print(measure(options))
        return
    peaks = {}
    for precision in ("float32", "bfloat16"):
        for contender in ("bare loop", *CONTENDERS):
            if contender == "bare loop" and precision == "bfloat16":
                continue
            command = [*sys.argv, "--contender", contender, "--precision", precision]
            answer = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
            name = contender if contender == "bare loop" else f"harness {contender}, {precision}"
            peaks[name] = float(answer.stdout)
            print(f"{name}: {peaks[name]:.0f} MiB", file=sys.stderr, flush=True)
    rows = [[name, f"{peak:.0f}", f"{peak / peaks['bare loop']:.2f}"] for name, peak in peaks.items()]
    table = tabulate(rows, ["", "peak, MiB", "peak / bare loop"], "github", disable_numparse=True)
    text = (
        f"# Peak memory, {options.model}, {options.samples} CIFAR-10 (JPEG) test images, batches of "
        f"{options.batch_size}\n\n`python {' '.join(sys.argv)}` on {processor()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}.\n\n{table}\n"
    )
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
