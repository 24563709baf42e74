"""Printed tables in suites: what is wrong with them before anything runs, and a suite that is run and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.core.errors import Problems
from harness.plan import make_plan

SUITE = """
name = "small"

[dataset]
id = "digits"
samples = 10
paper = { dataset = "CIFAR-10", note = "handwritten digits" }

[[threats]]
norm = "l2"
epsilon = 0.25

[[models]]
name = "none"
id = "zoo:digits-resnet8-none"
paper = "resnet50"

[[models]]
name = "bn"
id = "zoo:digits-resnet8-bn"
paper = { arch = "resnet50", note = "ResNet-8" }

[[attacks]]
name = "pgd"
steps = 2

[whitebox]

[[tables]]
reference = "benz2021/1"
part = { dataset = "cifar10", arch = "resnet50" }

[[claims]]
paper = "B02"
"""


def problems_with(tmp_path: Path, old: str, new: str) -> list[str]:
    assert old in SUITE
    path = tmp_path / "small.toml"
    path.write_text(SUITE.replace(old, new))
    with pytest.raises(Problems) as caught:
        make_plan(path)
    return list(caught.value.problems)


def test_a_suite_is_run_and_stands_beside_the_paper(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    results = harness.run(path, store=tmp_path / "store", device="cpu")
    report = results.report()
    (table,), (compared,) = report.tables, report.comparisons
    assert [row.header for row in table.rows] == [("CIFAR10", "ResNet50 (None)"), ("CIFAR10", "ResNet50 (BN)")]
    values = [[entry.estimate is not None for entry in row.entries] for row in table.rows]
    assert values == [[True, True, False, False, False]] * 2
    assert compared.against is not None
    assert compared.against.compared == 4
    assert "Not as in the paper: bn: ResNet-8; digits (test): handwritten digits." in table.notes
    assert len(report.claims[0].comparisons) == 1
    assert report.claims[0].absent == 35


def test_what_the_paper_calls_things_is_no_part_of_an_id(tmp_path: Path) -> None:
    plain, named = tmp_path / "plain.toml", tmp_path / "named.toml"
    named.write_text(SUITE)
    lines = [line for line in SUITE.partition("[[tables]]")[0].splitlines() if not line.startswith("paper")]
    plain.write_text("\n".join(lines))
    assert [cell.id for cell in make_plan(plain).cells.cells] == [cell.id for cell in make_plan(named).cells.cells]


WRONG = {
    "a network that the table lacks": (
        'paper = "resnet50"', 'paper = "resnet5"',
        'models[0].paper: benz2021/1 has no arch "resnet5".\n     did you mean: resnet50',
    ),
    "a data set that the table lacks": (
        'dataset = "CIFAR-10",', 'dataset = "cifar100",', 'dataset.paper: benz2021/1 has no dataset "cifar100"',
    ),
    "a training that the table lacks": (
        'note = "ResNet-8" }', 'training = "adversarial" }', 'benz2021/1 has no training "adversarial"',
    ),
    "an attack that the table lacks": (
        "steps = 2", 'paper = "fgsm"\nsteps = 2', 'attacks[0].paper: benz2021/1 has no attack "fgsm"',
    ),
    "a budget that the table lacks": (
        "epsilon = 0.25", "epsilon = 0.25\npaper = { epsilon = 0.02 }",
        "threats[0].paper: benz2021/1 has no budget of 0.02.\n     printed are 0.25, 1/255",
    ),
    "a key that models do not have": (
        'note = "ResNet-8" }', 'nrom = "bn" }', "models[1].paper.nrom: unknown key.\n     did you mean: norm?",
    ),
    "a table that does not exist": (
        'reference = "benz2021/1"', 'reference = "benz2021/13"', 'tables[0]: there is no printed table "benz2021/13"',
    ),
    "a table of settings": ('reference = "benz2021/1"', 'reference = "benz2021/5"', "lists settings"),
    "rows beside the paper's": (
        'reference = "benz2021/1"', 'reference = "benz2021/1"\nrows = ["model"]',
        "tables[0].rows: a table with `reference` has the rows, columns and values of the paper; leave it out",
    ),
    "a value beside the paper's": (
        'reference = "benz2021/1"', 'reference = "benz2021/1"\nvalue = "robust_error"', "tables[0].value: a table with",
    ),
    "a part of a table of our own": (
        'reference = "benz2021/1"', 'rows = "model"\ncolumns = "attack"', "tables[0].part: only a table with",
    ),
    "a table without rows": (
        'reference = "benz2021/1"\npart', 'columns = "attack"\n#', "tables[0].rows: this key is required",
    ),
    "a claim that does not exist": ('paper = "B02"', 'paper = "B002"', 'no paper claims "B002"'),
    "a trend": ('paper = "B02"', 'paper = "B27"', "is a trend"),
    "sides beside the paper's": (
        'paper = "B02"', 'paper = "B02"\ngreater = { model = "bn" }', "claims[0].greater: a claim by `paper`",
    ),
    "a claim without sides": ('paper = "B02"', 'name = "x"\ngreater = { model = "bn" }', "claims[0].than: this key is"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_found_before_anything_runs(what: str, tmp_path: Path) -> None:
    old, new, message = WRONG[what]
    found = problems_with(tmp_path, old, new)
    assert any(message in problem for problem in found), found
