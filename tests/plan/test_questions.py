"""The id of a cell: it changes with what shapes the cell's numbers, and with nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.plan import Options, make_plan
from harness.store import Question

SuiteFile = Callable[..., Path]

TABLE = '[[tables]]\nrows = ["model"]\ncolumns = ["attack"]\n'

QUESTION = Question(
    mode="transfer", target="t" * 64, surrogate="s" * 64, dataset="d" * 64, attack="mi-fgsm",
    arguments={"steps": 10, "step_size": 0.5, "loss": "cross-entropy"}, attack_version="1.0", norm="linf", epsilon=0.25,
    goal="untargeted", seed=7,
)  # fmt: skip


def test_the_id_of_a_question_is_the_sha256_of_its_canonical_json() -> None:
    canonical = (
        '{"arguments":{"loss":"cross-entropy","step_size":0.5,"steps":10},"attack":"mi-fgsm","attack_version":"1.0",'
        f'"dataset":"{"d" * 64}","epsilon":0.25,"goal":"untargeted","mode":"transfer","norm":"linf",'
        f'"precision":"float32","seed":7,"surrogate":"{"s" * 64}","target":"{"t" * 64}"}}'
    )
    assert QUESTION.id == hashlib.sha256(canonical.encode()).hexdigest()
    # Stores that exist must stay readable: this is sha256sum of the line above.
    assert QUESTION.id == "fe0cc7001b233a623642d92724c0f25590d4c48587d91b7bd37358c79acbd263"


CHANGES: dict[str, object] = {
    "mode": "whitebox", "target": "x", "surrogate": "x", "dataset": "x", "attack": "x", "attack_version": "1.1",
    "arguments": {"steps": 11, "step_size": 0.5, "loss": "cross-entropy"}, "norm": "l2", "epsilon": 0.5, "goal": "next",
    "seed": 8, "precision": "bfloat16",
}  # fmt: skip


@pytest.mark.parametrize("field", Question.model_fields)
def test_every_field_of_a_question_changes_its_id(field: str) -> None:
    assert QUESTION.model_copy(update={field: CHANGES[field]}).id != QUESTION.id


def ids(path: Path, **options: int) -> list[str]:
    return [cell.id for cell in make_plan(path, Options(**options)).cells.cells]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        ('name = "plain"', 'name = "other"'),
        ('name = "plain"', 'name = "plain"\nlabel = "Plain"'),
        ('{ bn = "N" }', '{ bn = "no", depth = 6 }'),
        ("samples = 20", 'samples = 20\nlabel = "Digits"'),
        ("samples = 20", 'samples = 20\nkeep = "all-correct"'),
        ("steps = 3", 'steps = 3\nlabel = "P"'),
        ("steps = 3", 'steps = 3\nfacts = { implementation = "ours", exact = true }'),
        ("steps = 3", "steps = 3\nrandom_start = true"),
        ('epsilon = "8/255"', 'epsilon = "16/510"'),
        ('norm = "linf"', 'norm = "linf"\nname = "small"'),
        ('name = "sound"', 'name = "sound"\nbatch_size = 7'),
        ('name = "sound"', 'name = "sound"\ntitle = "T"\nnotes = "N"\npaper = "p/1"'),
        ("[whitebox]", TABLE + "[whitebox]"),
    ],
)
def test_what_only_names_or_prints_changes_no_id(change: tuple[str, str], suite_file: SuiteFile) -> None:
    assert ids(suite_file(change)) == ids(suite_file())
    assert ids(suite_file(name="renamed")) == ids(suite_file())


@pytest.mark.parametrize(
    "change",
    [
        ("samples = 20", "samples = 21"),
        ("samples = 20", 'samples = 20\nindices = "first"'),
        ("samples = 20", 'samples = 20\nsplit = "train"'),
        ("steps = 3", "steps = 4"),
        ("steps = 3", "steps = 3\nrandom_start = false"),
        ('epsilon = "8/255"', 'epsilon = "9/255"'),
        ('norm = "linf"', 'norm = "linf"\ngoal = "next"'),
        ('norm = "linf"', 'norm = "l2"'),
        ('name = "sound"', 'name = "sound"\nseeds = [1]'),
        ('"zoo:digits-vgg6-none"', '"zoo:digits-vgg6-none@none"'),
    ],
)
def test_what_shapes_a_number_changes_its_id(change: tuple[str, str], suite_file: SuiteFile) -> None:
    cell = 2  # the attack on the first model
    assert ids(suite_file(change))[cell] != ids(suite_file())[cell]


def test_the_batch_size_is_part_of_the_question_where_results_depend_on_the_batch(suite_file: SuiteFile) -> None:
    foreign = ('name = "pgd"', 'name = "torchattacks:PGD"')
    small = ids(suite_file(foreign, ('name = "sound"', 'name = "sound"\nbatch_size = 7')))
    large = ids(suite_file(foreign))
    assert small[:2] == large[:2]
    assert not set(small[2:]) & set(large[2:])


def test_clean_predictions_do_not_depend_on_the_seed(suite_file: SuiteFile) -> None:
    assert ids(suite_file(), seed=3)[:2] == ids(suite_file())[:2]
    assert not set(ids(suite_file(), seed=3)[2:]) & set(ids(suite_file())[2:])
