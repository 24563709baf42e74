"""Models whose predictions depend on the batch: asked, attacked and judged in the same fixed batches."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pandas.testing import assert_frame_equal
from torch import Tensor

import harness
from harness.data import Dataset
from harness.models import load_model
from harness.models.classifier import Classifier
from harness.models.views import take_batchnorm_view
from harness.plan import Options, make_plan
from harness.report.evidence import Evidence
from harness.report.page import closing, what_was_run
from harness.runner import Results

SuiteFile = Callable[..., Path]

BATCH, IMAGES = 8, 20
"""Batches of 8, 8 and 4."""

SUITE = f"""
name = "views"
batch_size = {BATCH}

[dataset]
id = "digits"
samples = {IMAGES}

[threat]
norm = "linf"
epsilon = "32/255"

[[models]]
name = "population"
id = "zoo:digits-resnet8-bn"

[[models]]
name = "batch"
id = "zoo:digits-resnet8-bn"
bn = "batch"

[[models]]
name = "other"
id = "zoo:digits-vgg6-none"

[[attacks]]
name = "pgd"
steps = 4
random_start = false
"""

ATTACK = 'name = "pgd"\nsteps = 4\nrandom_start = false'
PLAIN = 'id = "zoo:digits-vgg6-none"'

ADAPTIVE = '[whitebox]\nmodels = "batch"\n'
STATIC = '[transfer]\nsurrogates = "population"\ntargets = "batch"\n'
ALL = '[whitebox]\nmodels = ["population", "batch"]\n[transfer]\nsurrogates = "*"\ntargets = "*"\n'


@pytest.fixture
def suite(workplace: Path) -> Callable[..., Path]:
    def write(more: str, *changes: tuple[str, str], name: str = "views") -> Path:
        text = SUITE
        for old, new in changes:
            assert text.count(old) == 1
            text = text.replace(old, new)
        path = workplace / f"{name}.toml"
        path.write_text(text + more, encoding="utf-8")
        return path

    return write


Write = Callable[..., Path]


def id_of(results: Results, mode: str, surrogate: str, target: str) -> str:
    cells = results.plan.cells.cells
    return next(cell.id for cell in cells if (cell.mode, cell.surrogate, cell.target) == (mode, surrogate, target))


def batch_view() -> Classifier:
    model = load_model("zoo:digits-resnet8-bn")
    take_batchnorm_view(model, "batch")
    return model


def batches(data: Dataset) -> list[tuple[Tensor, Tensor]]:
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    return list(zip(images.split(BATCH), labels.split(BATCH), strict=True))


def pgd(model: Classifier, images: Tensor, labels: Tensor, epsilon: float, steps: int, step: float) -> Tensor:
    """The loss of a whole batch is climbed by all its images together."""
    points = images.clone()
    for _ in range(steps):
        points.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(points), labels, reduction="sum"), points)
        points = points.detach() + step * gradient.sign()
        points = torch.maximum(torch.minimum(points, images + epsilon), images - epsilon).clamp(0, 1)
    return points


def by_hand(results: Results, crafting: Classifier, judging: Classifier) -> list[int]:
    """Predictions of one model on images crafted on another, batch by batch."""
    (data,) = results.plan.datasets.values()
    step = results.plan.jobs[-1].questions[0].arguments["step_size"]
    predictions: list[int] = []
    for images, labels in batches(data.at(None)):
        predictions += judging(pgd(crafting, images, labels, 32 / 255, 4, step)).argmax(1).tolist()
    return predictions


def test_clean_predictions_are_those_of_consecutive_batches(suite: Write) -> None:
    results = harness.run(suite(ADAPTIVE))
    outcomes = results.outcomes(id_of(results, "clean", "batch", "batch"))
    (data,) = results.plan.datasets.values()
    with torch.no_grad():
        expected = [label for images, _ in batches(data.at(None)) for label in batch_view()(images).argmax(1).tolist()]
    assert outcomes["clean_prediction"].tolist() == expected


def test_the_adaptive_reading_attacks_all_images_of_a_batch_together(suite: Write) -> None:
    results = harness.run(suite(ADAPTIVE))
    outcomes = results.outcomes(id_of(results, "whitebox", "batch", "batch"))
    assert outcomes["adversarial_prediction"].tolist() == by_hand(results, batch_view(), batch_view())
    assert (outcomes["passes"] == 4).all(), "no sample leaves early"
    assert (outcomes["linf"] > 0.1).all(), "clean errors take part"


def test_the_static_reading_crafts_on_population_and_judges_on_batch_statistics(suite: Write) -> None:
    results = harness.run(suite(STATIC))
    outcomes = results.outcomes(id_of(results, "transfer", "population", "batch"))
    population = load_model("zoo:digits-resnet8-bn")
    assert outcomes["adversarial_prediction"].tolist() == by_hand(results, population, batch_view())
    assert outcomes["adversarial_prediction"].tolist() != by_hand(results, population, population)


def test_a_cell_has_the_same_numbers_whether_it_runs_alone_or_with_others(suite: Write, workplace: Path) -> None:
    whole = harness.run(suite(ALL), store=workplace / "whole")
    for name, section, cell in (
        ("static", STATIC, ("transfer", "population", "batch")),
        ("adaptive", ADAPTIVE, ("whitebox", "batch", "batch")),
        ("back", '[transfer]\nsurrogates = "batch"\ntargets = "other"\n', ("transfer", "batch", "other")),
        ("plain", '[transfer]\nsurrogates = "other"\ntargets = "population"\n', ("transfer", "other", "population")),
    ):
        alone = harness.run(suite(section, name=name), store=workplace / name)
        assert id_of(alone, *cell) == id_of(whole, *cell)
        assert_frame_equal(alone.outcomes(id_of(alone, *cell)), whole.outcomes(id_of(whole, *cell)))
    added = harness.run(suite(ALL), store=workplace / "static")
    assert_frame_equal(added.frame().drop(columns="id"), whole.frame().drop(columns="id"))


@pytest.mark.parametrize("kept", [[0, 3, 19], list(range(8)), list(range(19)), list(range(9, 20))])
def test_resuming_in_the_middle_of_a_batch_gives_the_same_numbers(kept: list[int], suite: Write) -> None:
    path = suite(ALL)
    whole = harness.run(path)
    attacked = {cell.id: whole.outcomes(cell.id) for cell in whole.plan.cells.cells if cell.mode != "clean"}
    for id, outcomes in attacked.items():
        shutil.rmtree(whole.store.path / "records" / id[:2] / id)
        whole.store.append(id, outcomes.iloc[kept])
    again = harness.run(path)
    assert again.outcome.computed == len(attacked)
    for id, outcomes in attacked.items():
        assert_frame_equal(again.outcomes(id), outcomes)


def test_another_image_in_a_batch_changes_predictions_of_its_neighbours_alone(suite: Write) -> None:
    listed = [*range(IMAGES)]
    swapped = [500, *listed[1:]]
    frames = []
    for indices in (listed, swapped):
        path = suite(ADAPTIVE, (f"samples = {IMAGES}", f"indices = {indices}"), ("32/255", "96/255"))
        results = harness.run(path)
        outcomes = results.outcomes(id_of(results, "whitebox", "batch", "batch")).set_index("index")
        frames.append(outcomes.loc[1:19, ["adversarial_prediction", "l2"]])
    same = (frames[0] == frames[1]).all(axis=1)
    assert not same[: BATCH - 1].all()
    assert same[BATCH - 1 :].all()


def test_the_batch_size_is_part_of_the_question_of_these_models_and_of_no_others(suite: Write) -> None:
    small, large = (
        {(c.mode, c.surrogate, c.target): c.id for c in make_plan(suite(ALL), Options((size,))).cells.cells}
        for size in ("batch_size=8", "batch_size=10")
    )
    same = {cell for cell in small if small[cell] == large[cell]}
    assert same == {cell for cell in small if "batch" not in cell}
    arguments = [job.questions[0].arguments for job in make_plan(suite(ADAPTIVE)).jobs]
    assert [given["batch_size"] for given in arguments] == [8, 8]


def test_a_page_lists_an_attack_once_with_the_batch_size_where_that_matters(suite: Write) -> None:
    results = harness.run(suite('[whitebox]\nmodels = ["population", "batch"]\n'), limit=4)
    page = "\n".join(what_was_run(Evidence(results.plan.cells, results.store)))
    (line,) = [line for line in page.splitlines() if "| pgd " in line]
    assert line.rstrip(" |").endswith("batch_size = 8 for models whose predictions depend on the batch")


def test_the_population_view_is_the_model_and_has_its_ids(suite: Write) -> None:
    section = '[whitebox]\nmodels = "population"\n'
    plain, said = (make_plan(suite(section, *change)) for change in ((), (('bn = "batch"', 'bn = "population"'),)))
    assert plain.cells.ids() == said.cells.ids()
    prints = {name: model.entry.description.fingerprint for name, model in said.models.items()}
    assert prints["batch"] == prints["population"] == load_model("zoo:digits-resnet8-bn").fingerprint


def test_a_declared_view_raises_no_flag_but_is_noted(suite: Write) -> None:
    results = harness.run(suite(ADAPTIVE))
    record = results.store.read(id_of(results, "clean", "batch", "batch"))
    assert record.examined == IMAGES
    assert all(flags == {} for flags in results.frame()["flags"])
    assert record.question.arguments == {"batch_size": BATCH}
    assert record.target.batch_dependent
    (note,) = (note for note in results.report().tables[0].notes if note.startswith("Predictions of "))
    assert note.startswith("Predictions of batch depend on the other images of a batch: ")
    assert f"fixed batches of {BATCH} consecutive images" in note
    plain = harness.run(suite('[whitebox]\nmodels = "other"\n', name="plain"))
    assert not any("batch" in note for note in plain.report().tables[0].notes)


def test_robust_norm_is_asked_in_fixed_batches_without_being_told(suite: Write, workplace: Path) -> None:
    factory = (
        "import torch\nfrom harness.models.networks import NETWORKS\ndef net():\n"
        "    return NETWORKS.get('resnet20')(norm='rn', width=4, channels=1)\n"
    )
    (workplace / "robust_net_of_tests.py").write_text(factory, encoding="utf-8")
    bn, rn = 'id = "zoo:digits-resnet8-bn"\nbn = "batch"', 'id = "python:robust_net_of_tests:net"'
    tracked, batch, untold = (
        make_plan(suite(ADAPTIVE, (bn, rn + view))) for view in ('\nrn = "tracked"', '\nrn = "batch"', "")
    )
    assert not tracked.cells.ids() & batch.cells.ids()
    for plan in (tracked, batch, untold):
        assert plan.models["batch"].entry.description.batch_dependent
        assert all(job.questions[0].arguments["batch_size"] == BATCH for job in plan.jobs)
    results = harness.run(suite(ADAPTIVE, (bn, rn)))
    assert results.outcome.exit_code == 0
    assert all("batch_dependent" not in flags for flags in results.frame()["flags"])


def test_attacks_that_take_batches_apart_run_where_only_the_target_depends_on_the_batch(suite: Write) -> None:
    results = harness.run(suite(STATIC, (ATTACK, 'name = "square"\nqueries = 20')))
    assert results.outcome.exit_code == 0


def test_the_report_names_the_view(suite: Write) -> None:
    results = harness.run(suite(ADAPTIVE, (PLAIN, 'id = "zoo:digits-resnet8-bn"\nbn = "recalibrated"')))
    page = closing(results.plan.suite, [], Evidence(results.plan.cells, results.store), "")
    named = [line.split("|")[3].strip() for line in page.splitlines() if "zoo:digits-resnet8-bn" in line]
    assert named == [
        "zoo:digits-resnet8-bn",
        "zoo:digits-resnet8-bn, bn = batch",
        "zoo:digits-resnet8-bn, bn = recalibrated on 1,198 images, digits (train)",
    ]
