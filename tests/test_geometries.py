"""Models of different input sizes in one suite: each has its own images; what is crafted is carried to the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import harness
from harness.cells import Cell
from harness.commands import plan
from harness.core.errors import Problems
from harness.core.geometry import square
from harness.judging import predict
from harness.models.carried import carried
from harness.runner import Results

SUITE = """
name = "sizes"
batch_size = 4
keep_images = true

[dataset]
id = "nips2017"
path = "images"
root = "."

[threat]
norm = "linf"
epsilon = "16/255"

[[models]]
name = "small"
id = "timm:test_resnet@none"
crop = 32

[[models]]
name = "large"
id = "timm:test_resnet@none"
crop = 48

[[models]]
name = "other"
id = "timm:test_resnet@none"
resize = 40
crop = 32

[[attacks]]
name = "i-fgsm"
steps = 2

[whitebox]
models = "large"

[transfer]
surrogates = ["small", "other"]
targets = ["small", "large"]
"""


@pytest.fixture
def suite(workplace: Path) -> Path:
    folder = workplace / "images" / "images"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(0)
    names = [f"{number:016x}" for number in range(6)]
    for name in names:
        Image.fromarray(draws.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    rows = pd.DataFrame({"ImageId": names, "TrueLabel": range(1, 7), "TargetClass": range(11, 17)})
    rows.to_csv(workplace / "images" / "images.csv", index=False)
    path = workplace / "sizes.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


def cell(results: Results, mode: str, surrogate: str, target: str) -> Cell:
    cells = [*results.plan.cells.cells, *results.plan.cells.carried]
    (found,) = [c for c in cells if (c.mode, c.surrogate, c.target) == (mode, surrogate, target)]
    return found


def test_every_model_has_images_in_its_own_geometry_and_reports_tell_them_apart(suite: Path) -> None:
    results = harness.run(suite)
    assert not results.outcome.failures
    (entry,) = results.plan.cells.datasets
    assert list(entry.fingerprints) == ["resize 32, crop 32", "resize 48, crop 48", "resize 40, crop 32"]
    assert len(set(entry.fingerprints.values())) == 3
    (images,) = results.plan.datasets.values()
    for name, geometry in (("small", square(32)), ("large", square(48))):
        question = results.store.read(cell(results, "clean", name, name).id).question
        assert question.dataset == images.at(geometry).fingerprint
        assert question.arguments == {}


def test_targets_are_asked_about_the_surrogates_images_scaled_to_their_size_clean_and_attacked(suite: Path) -> None:
    results = harness.run(suite)
    (images,) = results.plan.datasets.values()
    small = images.at(square(32))
    target = carried(harness.load_model("timm:test_resnet@none", crop=48), 48, 48)
    attacked = cell(results, "transfer", "small", "large")
    record, outcomes = results.store.read(attacked.id), results.outcomes(attacked.id)
    assert record.question.arguments["carried"] == "48x48, bilinear, antialiased"
    assert record.question.dataset == small.fingerprint
    clean = predict(target, torch.from_numpy(small.images).float() / 255)
    assert outcomes["clean_prediction"].tolist() == clean.tolist()
    (job,) = [job for job in results.plan.jobs if job.craft and job.surrogate == "small"]
    kept = {
        int(index): torch.from_numpy(image)
        for batch in results.store.images(job.crafting).batches()
        for index, image in zip(batch["index"], batch["adversarial"], strict=True)
    }
    adversarial = predict(target, torch.stack([kept[index] for index in outcomes["index"]]))
    assert outcomes["adversarial_prediction"].tolist() == adversarial.tolist()
    # The budget is that of the surrogate's size.
    assert outcomes["linf"].max() == pytest.approx(16 / 255, abs=1e-6)


def test_targets_of_the_same_size_take_the_surrogates_cut_of_the_image_as_it_is(suite: Path) -> None:
    results = harness.run(suite)
    record = results.store.read(cell(results, "transfer", "other", "small").id)
    assert "carried" not in record.question.arguments
    own, foreign = (cell(results, "clean", surrogate, "small") for surrogate in ("small", "other"))
    assert own.id != foreign.id
    assert results.store.read(foreign.id).target.fingerprint == results.store.read(own.id).target.fingerprint
    assert results.store.read(foreign.id).question.dataset == record.question.dataset


def test_tables_show_clean_accuracy_in_the_models_own_geometry_and_say_what_was_carried(suite: Path) -> None:
    report = harness.run(suite).report()
    whitebox, transfer = report.tables
    clean = [run for run in whitebox.runs if run.metric == "clean_accuracy"]
    assert {(run.cell.surrogate, run.cell.target) for run in clean} == {("large", "large")}
    assert "Images are crafted in the surrogate's size and scaled (bilinear, antialiased) to 48x48 for large." in (
        transfer.notes
    )
    assert not any("carried" in note for note in whitebox.notes)


def test_a_model_that_does_not_say_how_it_wants_images_is_a_mistake(suite: Path) -> None:
    suite.write_text(SUITE.replace('"timm:test_resnet@none"\ncrop = 32', '"zoo:digits-vgg6-none"'), encoding="utf-8")
    with pytest.raises(Problems, match=r"models\[0\]: .*gives every model images as it asks for them") as caught:
        harness.run(suite)
    assert "write resize and crop in its table" in str(caught.value)


def test_a_number_as_size_gives_all_models_the_same_images(suite: Path) -> None:
    results = harness.run(suite, overrides=["dataset.size=40"])
    (entry,) = results.plan.cells.datasets
    assert list(entry.fingerprints) == [""]
    assert not results.plan.cells.carried


def test_a_plan_says_on_whose_images_a_model_is_asked_and_which_weights_are_random(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan(
        str(suite), resolved=False, limit=None, seed=None, overrides=(), store=None, download=False,
        random_weights=False, available=False, as_json=False,
    )  # fmt: skip
    printed = capsys.readouterr().out
    for asked in ("large on images of small", "small on images of other", "large on images of other"):
        assert asked in printed
    assert "random weights: small, large, other" in printed
