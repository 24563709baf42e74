"""Recalibrated statistics: which images they come from, and that they are the same every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import harness
from harness.core.errors import Problems
from harness.data import Dataset
from harness.models import load_model
from harness.plan import make_plan, open_model
from harness.plan.calibration import calibration_batches

SuiteFile = Callable[..., Path]

BATCH = 'id = "zoo:digits-vgg6-bn"'
RECALIBRATED = (BATCH, f'{BATCH}\nbn = "recalibrated"')
CPU = torch.device("cpu")


def on(images: str) -> tuple[str, str]:
    return BATCH, f'{BATCH}\nbn = "recalibrated"\ncalibration = {images}'


def test_the_images_are_the_training_split_unless_others_are_named(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(RECALIBRATED))
    images = plan.models["batch"].calibration
    assert images is not None
    assert (images.name, len(images)) == ("digits (train)", 1198)
    assert not plan.models["batch"].entry.description.batch_dependent
    assert make_plan(suite_file(on('{ id = "digits", split = "train" }'))).cells.ids() == plan.cells.ids()
    fewer = make_plan(suite_file(on('{ id = "digits", split = "train", samples = 300 }')))
    population = make_plan(suite_file())
    (of_plain,) = {cell.id for cell in plan.cells.cells if (cell.mode, cell.target) == ("clean", "plain")}
    for other in (fewer, population):
        ids = {cell.id for cell in other.cells.cells if cell.target == "batch"}
        assert not ids & plan.cells.ids()
        assert of_plain in other.cells.ids()


def test_the_record_says_which_images_and_the_numbers_are_there(suite_file: SuiteFile) -> None:
    results = harness.run(suite_file(RECALIBRATED))
    record = next(record for record in results.store.records() if record.target.details.get("calibration"))
    assert record.target.details["view"]["bn"] == "recalibrated"
    assert record.target.details["calibration"]["name"] == "digits (train)"
    assert record.target.details["calibration"]["images"] == 1198
    assert results.outcome.exit_code == 0
    assert harness.run(suite_file(RECALIBRATED)).outcome.computed == 0


def test_a_model_is_opened_alike_every_time_and_near_what_training_left(suite_file: SuiteFile) -> None:
    planned = make_plan(suite_file(RECALIBRATED)).models["batch"]
    one, two = (open_model(planned.spec, planned.calibration, CPU).state_dict() for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    population = load_model(planned.spec.id).state_dict()
    means = [key for key in population if key.endswith("running_mean")]
    assert means
    for key in means:
        spread = population[key.replace("mean", "var")].sqrt()
        assert 0 < ((population[key] - one[key]).abs() / spread).max() < 0.5
    assert {int(value) for key, value in one.items() if key.endswith("num_batches_tracked")} == {1198 // 128}
    assert open_model(planned.spec, planned.calibration, CPU).fingerprint == planned.entry.description.fingerprint


def data(count: int) -> Dataset:
    """Images that show their own index."""
    images = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1) / 1000
    return Dataset("numbers", images, np.zeros(count, dtype=np.int64), np.arange(count), ("0",), "")


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (127, [127]), (128, [128]), (300, [128, 128])])
def test_batches_are_full_and_shuffled_alike_every_time(count: int, sizes: list[int]) -> None:
    batches = list(calibration_batches(data(count), CPU))
    assert [len(batch) for batch in batches] == sizes
    shown = torch.cat(batches).flatten()
    assert len(shown.unique()) == len(shown)
    assert torch.equal(shown, torch.cat(list(calibration_batches(data(count), CPU))).flatten())
    if count > 1:
        assert not torch.equal(shown, shown.sort().values), "sorted images would make batches of one class"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(BATCH, f'{BATCH}\ncalibration = {{ id = "digits" }}')],
         'models[1]: calibration: clean images are for bn = "recalibrated"'),
        ([on('{ id = "digits", splt = "train" }')], 'models[1]: dataset "digits" has no key splt'),
        ([on('{ id = "digits", samples = 0 }')], "models[1].calibration.samples: input should be greater than"),
        ([RECALIBRATED, ("[dataset]", '[[datasets]]\nid = "digits"\nlabel = "twin"\n[[datasets]]')],
         'models[1]: bn = "recalibrated": of several data sets, none is meant by default'),
    ],
)  # fmt: skip
def test_images_that_cannot_be_are_a_mistake(
    changes: list[tuple[str, str]], message: str, suite_file: SuiteFile
) -> None:
    with pytest.raises(Problems) as raised:
        make_plan(suite_file(*changes))
    (problem,) = raised.value.problems
    assert problem.startswith(message)


def test_data_without_splits_has_no_training_split(suite_file: SuiteFile, workplace: Path) -> None:
    from PIL import Image

    for number in range(10):
        (workplace / "data" / str(number)).mkdir(parents=True)
        Image.new("L", (8, 8), 20 * number).save(workplace / "data" / str(number) / "0.png")
    folder = ('id = "digits"\nsamples = 20', f'id = "folder"\npath = "{workplace}/data"\nchannels = 1')
    with pytest.raises(Problems, match='data set "folder" has no training split.\n +write calibration = '):
        make_plan(suite_file(RECALIBRATED, folder))
    assert make_plan(suite_file(on('{ id = "digits" }'), folder)).models["batch"].calibration is not None
