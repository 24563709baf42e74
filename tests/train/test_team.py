"""Training by several processes ends where training by one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.core.errors import HarnessError
from harness.models.card import read_card
from harness.train.team import Team, assemble

CARD = """\
summary = "a small network"

[architecture]
network = "vgg6"
norm = "gn"
width = 4
channels = 1

[train_data]
id = "digits"
split = "train"

[test_data]
id = "digits"
split = "test"

[recipe]
epochs = 2
batch_size = 99
learning_rate = 0.1
crop = 1
gradient_clip = 1.0
average = 0.9
snapshots = [1]
"""


def train_with(processes: int, zoo: Path) -> str:
    """Train the card of a zoo by some processes; what they printed."""
    zoo.mkdir()
    (zoo / "small.toml").write_text(CARD)
    # `accelerate launch --cpu` starts one process, however many it is asked for.
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    command = [sys.executable, *(launcher if processes > 1 else ["-m"]), "harness", "train", "small", "--device", "cpu"]
    folders = {"HARNESS_ZOO": str(zoo), "HARNESS_STORE": str(zoo / "store"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env={**os.environ, **folders}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_end_with_the_weights_of_one_and_print_once(tmp_path: Path) -> None:
    printed = [train_with(processes, tmp_path / str(processes)) for processes in (1, 2)]
    assert [text.count("clean accuracy") for text in printed] == [1, 1]
    one, two = (load_file(tmp_path / number / "small.safetensors") for number in ("1", "2"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)
    first, second = (read_card(tmp_path / number / "small.toml").result for number in ("1", "2"))
    assert (first.get("processes"), second.get("processes")) == (None, 2)
    assert second["losses"] == pytest.approx(first["losses"], abs=1e-3)
    assert second["train_accuracy"] == pytest.approx(first["train_accuracy"], abs=2e-3)


def test_alone_nothing_is_shared_or_summed() -> None:
    team, parameter = Team(), torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    team.sum_gradients([parameter], 0.5)
    assert torch.equal(parameter.grad, torch.ones(2))
    assert torch.equal(team.share(torch.arange(5)), torch.arange(5))
    assert (team.size, team.leads, team.device("cpu")) == (1, True, "cpu")


class Three:
    """Stands in for accelerate's object in three processes that hold the same numbers."""

    num_processes = 3

    def reduce(self, value: torch.Tensor, how: str) -> torch.Tensor:
        assert how == "sum"
        return value + value + value


def test_the_mean_of_equal_statistics_is_exactly_what_they_were() -> None:
    layer = torch.nn.BatchNorm2d(1000)
    before = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    layer.get_buffer("running_mean").copy_(before)
    Team(Three()).average_statistics(layer)
    assert torch.equal(layer.get_buffer("running_mean"), before)


def test_several_processes_without_accelerate_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(HarnessError, match="pip install accelerate"):
        assemble("cpu")
