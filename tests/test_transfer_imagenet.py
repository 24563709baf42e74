"""The suite of the front page, without a network: its matrix with small models, and whole with random weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

import harness
from harness.core.errors import Problems
from harness.models.from_timm import untrained as untrained_timm
from harness.models.from_torchvision import untrained
from harness.plan import Options, make_plan
from harness.spec import read_suite

SUITES = Path(__file__).resolve().parents[1] / "suites"
SUITE = SUITES / "transfer_imagenet.toml"

SMALL = {
    "vgg19-bn": "timm:test_resnet@none",
    "vgg19": "timm:test_convnext@none",
    "resnet50": "timm:test_mambaout@none",
    "nf-resnet50": "timm:test_nfnet@none",
    "densenet121": "timm:test_efficientnet@none",
    "resnet152": "timm:test_byobnet@none",
    "mobilenet-v2": "timm:test_efficientnet_ln@none",
    "inception-v3": "torchvision:squeezenet1_1@none",
}
"""Networks that are built in no time, in place of the suite's; all but the last take images of 160 pixels."""

GIBIBYTE = 2**30

LOADED = GIBIBYTE // 4
"""What a process holds at least before a run: libraries."""


@pytest.fixture
def photographs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight images in the layout of NIPS 2017, below HARNESS_DATA."""
    folder = workplace / "nips2017" / "images"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(0)
    names = [f"{number:016x}" for number in range(8)]
    for name in names:
        coarse = draws.integers(0, 256, (10, 10, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((299, 299), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    rows = pd.DataFrame({"ImageId": names, "TrueLabel": range(1, 9), "TargetClass": range(11, 19)})
    rows.to_csv(folder.parent / "images.csv", index=False)
    monkeypatch.setenv("HARNESS_DATA", str(workplace))
    return folder


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_the_matrix_runs_on_small_networks_of_two_input_sizes(photographs: Path, no_weights: Path) -> None:
    small = [f"models.{n}.id={SMALL[model.name]}" for n, model in enumerate(read_suite(SUITE).suite.models)]
    steps = [f"attacks.{n}.steps=1" for n in range(4)]
    overrides = ["dataset.id=nips2017", "dataset.keep=all", *small, *steps]
    results = harness.run(SUITE, overrides=overrides, limit=2)
    assert not results.outcome.failures
    assert len([cell for cell in results.plan.cells.cells if cell.mode == "transfer"]) == 4 * 4 * 6
    _, table = results.report().tables
    assert len(table.rows) == 16
    assert any("scaled (bilinear, antialiased) to 224x224 for inception-v3" in note for note in table.notes)
    assert any("random weights" in note for note in table.notes)


def test_without_weights_and_network_every_missing_file_is_told_at_once(photographs: Path, no_weights: Path) -> None:
    with pytest.raises(Problems) as caught:
        make_plan(SUITE, Options(overrides=("dataset.id=nips2017",)))
    told = str(caught.value)
    for model in read_suite(SUITE).suite.models:
        assert model.id in told
    checkpoints = no_weights / "torch" / "hub" / "checkpoints"
    assert f"fetch https://download.pytorch.org/models/vgg19_bn-c79401a0.pth\n     and put it at {checkpoints}" in told
    assert "hf download timm/nf_resnet50.ra2_in1k model.safetensors" in told


def test_random_weights_stand_in_for_downloaded_ones(photographs: Path, no_weights: Path) -> None:
    overrides = ("dataset.id=nips2017", 'models=[{name="a",id="torchvision:squeezenet1_1@IMAGENET1K_V1"}]')
    sections = ("transfer.surrogates=a", "transfer.targets=a", "tables=[]")
    plan = make_plan(SUITE, Options(overrides=(*overrides, *sections), limit=2, random_weights=True))
    assert plan.models["a"].entry.description.id == "torchvision:squeezenet1_1@none"
    assert plan.models["a"].entry.description.random_weights


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="tells its memory otherwise")
@pytest.mark.parametrize("name", ["transfer_imagenet", "transfer_robust_imagenet"])
def test_every_model_is_built_attacked_and_judged_within_8_gib(
    name: str, photographs: Path, no_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = SUITES / f"{name}.toml"
    for model in read_suite(suite).suite.models:
        fill_cache(model.id, no_weights, monkeypatch)
    overrides = ["dataset.id=nips2017", "dataset.keep=all", *[f"attacks.{n}.steps=2" for n in range(4)]]
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # The peak from here on: other tests ran in this process.
    results = harness.run(suite, overrides=overrides, limit=4)
    assert not results.outcome.failures
    assert len([cell for cell in results.plan.cells.cells if cell.mode == "transfer"]) == 4 * 4 * 6
    assert not any(model.entry.description.random_weights for model in results.plan.models.values())
    assert memory("VmHWM") - before < 8 * GIBIBYTE - LOADED


def memory(name: str) -> int:
    """Bytes that this process holds (VmRSS), or held at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return 1024 * kibibytes


def fill_cache(id: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put random weights where the library would have put those that it downloads."""
    source, _, name = id.partition(":")
    if source == "torchvision":
        architecture, _, member = name.partition("@")
        weights: Any = torchvision.models.get_model_weights(architecture)[member]
        checkpoints = place / "torch" / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True)
        file = checkpoints / f"{architecture}.pth"
        torch.save(untrained(architecture, {}, id).state_dict(), file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        file = file.rename(checkpoints / f"{architecture}-{digest[:8]}.pth")
        monkeypatch.setattr(weights.value, "url", f"https://example.org/models/{file.name}")
        return
    file = place / "weights"
    if source == "timm":
        repository, inside = f"timm/{name}", "model.safetensors"
        save_file(untrained_timm(name.partition(".")[0], {}, id).state_dict(), file)
    else:
        repository, _, inside = name.removeprefix("hf://").rpartition("/")
        state = untrained("resnet50", {}, id).state_dict()
        state |= {"normalizer.new_mean": torch.full((3, 1, 1), 0.4), "normalizer.new_std": torch.full((3, 1, 1), 0.2)}
        wrapped = {f"module.{key if key.startswith('n') else f'model.{key}'}": value for key, value in state.items()}
        torch.save({"model": wrapped, "epoch": 90}, file)
    folder = place / "hub" / f"models--{repository.replace('/', '--')}"
    for part in ("blobs", "refs", f"snapshots/{'0' * 40}"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    blob = file.rename(folder / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest())
    (folder / "snapshots" / ("0" * 40) / inside).symlink_to(blob)
    (folder / "refs" / "main").write_text("0" * 40)
