"""A run keeps to its device, and a device changes no result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.models.card import read_card
from harness.store import Store
from harness.train.run import train_card

ROOT = Path(__file__).resolve().parents[1]

SUITE = """
name = "devices"
batch_size = 2
keep_images = true

[dataset]
id = "digits"
samples = 3

[[models]]
name = "bn"
id = "zoo:digits-vgg6-bn"

[[models]]
name = "batch"
id = "zoo:digits-vgg6-bn"
bn = "batch"

[[models]]
name = "recalibrated"
id = "zoo:digits-vgg6-bn"
bn = "recalibrated"
calibration = { id = "digits", split = "train", samples = 8 }

[[models]]
name = "both"
id = "ensemble:zoo:digits-vgg6-bn+zoo:digits-vgg6-none"

[[threats]]
name = "linf"
norm = "linf"
epsilon = 0.1

[[threats]]
name = "l2"
norm = "l2"
epsilon = 0.5
goal = "random"

[[threats]]
name = "l1"
norm = "l1"
epsilon = 2.0
"""

WHOLE_BATCHES = """
[whitebox]
models = "batch"
threats = "linf"

[transfer]
surrogates = "both"
targets = ["batch", "recalibrated"]

[[attacks]]
name = "pgd"
steps = 2
restarts = 2
eot = 2

[[attacks]]
name = "mi-di-ti-si-fgsm"
steps = 2
smallest = 0.7
threats = ["linf"]

[[attacks]]
name = "vt-ni-fgsm"
steps = 2
neighbours = 2
threats = ["linf"]

[[attacks]]
name = "mi-admix-fgsm"
steps = 2
threats = ["linf"]

[[attacks]]
name = "apgd-ce"
steps = 3
"""

SAMPLE_BY_SAMPLE = """
[whitebox]
models = "bn"

[[attacks]]
name = "apgd-t"
steps = 3
targets = 2
threats = ["linf"]

[[attacks]]
name = "fab"
steps = 2
threats = ["linf", "l1"]

[[attacks]]
name = "fab-t"
steps = 2
targets = 2
threats = ["linf"]

[[attacks]]
name = "square"
queries = 10

[[attacks]]
name = "rays"
queries = 10
threats = ["linf"]

[[attacks]]
name = "deepfool"
steps = 2
threats = ["linf"]

[[attacks]]
name = "cw"
steps = 2
binary_search_steps = 2
threats = ["l2"]
"""


CARD = """
summary = "a network"

[architecture]
network = "vgg6"
norm = "bn"
width = 4
channels = 1

[train_data]
id = "digits"
split = "train"

[test_data]
id = "digits"
split = "test"

[recipe]
epochs = 1
batch_size = 256
learning_rate = 0.1
crop = 1
flip = true
gradient_clip = 1.0
average = 0.5
"""

ADVERSARIAL = """
[recipe.adversarial]
epsilon = 0.1
steps = 2
share = 0.5
mode = "train"
"""

SMOOTH = """
[recipe.gradient_similarity]
weight = 0.1
"""


def on_device(*arguments: object) -> None:
    """Run the program of `tests.pretended`."""
    program = [sys.executable, "-m", "tests.pretended", *map(str, arguments)]
    printed = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert printed.returncode == 0, printed.stderr


@pytest.mark.parametrize("rest", [WHOLE_BATCHES, SAMPLE_BY_SAMPLE], ids=["whole batches", "sample by sample"])
def test_everything_goes_where_the_run_goes(workplace: Path, rest: str) -> None:
    suite = workplace / "devices.toml"
    suite.write_text(SUITE + rest, encoding="utf-8")
    on_device("run", suite, workplace / "there")
    here, there = harness.run(suite), Store(workplace / "there")
    for cell in here.plan.cells.cells:
        expected, found = (store.outcomes(cell.id).sort_values("index") for store in (here.store, there))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


@pytest.mark.parametrize("recipe", [ADVERSARIAL, SMOOTH], ids=["adversarial", "smooth"])
def test_training_goes_there_too(workplace: Path, recipe: str) -> None:
    here, there = workplace / "here.toml", workplace / "there.toml"
    for card in (here, there):
        card.write_text(CARD + recipe, encoding="utf-8")
    on_device("train", there)
    expected, found = train_card(str(here), quiet=True), read_card(there).result
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-3)
    assert found["clean_accuracy"] == pytest.approx(expected["clean_accuracy"], abs=0.01)
