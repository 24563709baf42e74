"""Suites that attack nothing: clean predictions of every model on every data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import harness
from harness.core.errors import Problems
from harness.plan import make_plan

SuiteFile = Callable[..., Path]

ATTACKS = (
    ('[threat]\nnorm = "linf"\nepsilon = "8/255"\n', ""),
    ('[[attacks]]\nname = "pgd"\nsteps = 3\n', ""),
    ("[whitebox]", ""),
)
"""What the sound suite loses."""

BATCH_VIEW = '[[models]]\nname = "view"\nid = "zoo:digits-vgg6-bn"\nbn = "batch"\n'

MISSING = """
[[datasets]]
id = "features"
name = "{0}"
"""


def test_every_model_is_asked_about_every_data_set_once(suite_file: SuiteFile) -> None:
    two = ('[dataset]\nid = "digits"\nsamples = 20\n', "")
    more = "".join(f'\n[[datasets]]\nid = "digits"\nlabel = "{n}"\nsamples = {n}\n' for n in (8, 6))
    cells = make_plan(suite_file(*ATTACKS, two, more=more)).cells.cells
    assert [(cell.mode, cell.dataset, cell.target) for cell in cells] == [
        ("clean", data, model) for data in ("8", "6") for model in ("plain", "batch")
    ]


def test_its_report_is_a_table_of_clean_accuracies(suite_file: SuiteFile) -> None:
    report = harness.run(suite_file(*ATTACKS)).report()
    (table,) = report.tables
    assert (table.name, table.metric) == ("clean", "clean_accuracy")
    assert [row.header for row in table.rows] == [("plain",), ("batch",)]
    assert all(entry.estimate for entry in table.entries)
    page = report.page()
    assert "Threat models" not in page
    assert "2 cells planned, 2 finished" in page


@pytest.mark.parametrize("kept", range(2))
def test_half_an_attack_is_a_mistake_and_no_evaluation(suite_file: SuiteFile, kept: int) -> None:
    changes = [change for number, change in enumerate(ATTACKS) if number != kept]
    with pytest.raises(Problems, match="nothing says what runs on what") as raised:
        make_plan(suite_file(*changes))
    assert len(raised.value.problems) == 1


def test_a_table_about_attacks_has_no_cell(suite_file: SuiteFile) -> None:
    with pytest.raises(Problems, match="no cell of the suite fits"):
        make_plan(suite_file(*ATTACKS, more='[[tables]]\nrows = ["model"]\ncolumns = ["attack"]\n'))


def test_models_that_depend_on_their_batch_need_its_size(suite_file: SuiteFile) -> None:
    with pytest.raises(Problems, match='batch_size: predictions of view depend on the batch: write a number, not "a'):
        make_plan(suite_file(*ATTACKS, ('"sound"', '"sound"\nbatch_size = "auto"'), more=BATCH_VIEW))


def test_every_feature_set_that_is_not_there_is_named_with_its_command(suite_file: SuiteFile) -> None:
    names = ("digits-d-rand", "cifar10-d-nr")
    more = "".join(MISSING.format(name) for name in names)
    with pytest.raises(Problems) as raised:
        make_plan(suite_file(*ATTACKS, ('[dataset]\nid = "digits"\nsamples = 20\n', ""), more=more))
    assert len(raised.value.problems) == 2
    for name, problem in zip(names, raised.value.problems, strict=True):
        assert f"the feature set {name} is not there" in problem
        assert problem.endswith(f"harness extract {name}")
