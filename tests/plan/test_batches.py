"""Models whose predictions depend on the batch: what a suite can ask of them, and what is a mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import Problems
from harness.plan import make_plan

SuiteFile = Callable[..., Path]
Module = Callable[[str], str]

BATCH, PLAIN = 'id = "zoo:digits-vgg6-bn"', 'id = "zoo:digits-vgg6-none"'
PGD = 'name = "pgd"\nsteps = 3'
IN_BATCHES = (BATCH, f'{BATCH}\nbn = "batch"')


def problem_of(path: Path) -> str:
    with pytest.raises(Problems) as raised:
        make_plan(path)
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize("section", ["whitebox", "transfer"])
@pytest.mark.parametrize(
    ("attack", "label"),
    [
        ("square", "Square"),
        ("fab", "FAB"),
        ("rays", "RayS"),
        ("autoattack", "AutoAttack"),
        ("torchattacks:Square", "torchattacks:Square"),
    ],
)
def test_attacks_that_do_not_keep_batches_whole_are_refused(
    attack: str, label: str, section: str, suite_file: SuiteFile
) -> None:
    problem = problem_of(suite_file(IN_BATCHES, (PGD, f'name = "{attack}"'), ("[whitebox]", f"[{section}]")))
    assert problem.startswith(f'{section}.attacks: "{label}" attacks every sample by itself, and predictions of')
    assert "predictions of batch depend on the whole batch.\n     choose attacks that keep batches whole" in problem


def test_where_only_targets_depend_on_the_batch_every_attack_is_welcome(suite_file: SuiteFile) -> None:
    section = ("[whitebox]", '[transfer]\nsurrogates = "plain"')
    plan = make_plan(suite_file(IN_BATCHES, (PGD, 'name = "square"'), section))
    sizes = [question.arguments.get("batch_size") for job in plan.jobs for question in job.questions]
    assert sizes == [None, 128, None, 128], "clean plain, clean batch, transfer to plain, transfer to batch"
    assert [job.fixed_batches for job in plan.jobs] == [False, True, True]


def test_the_batch_size_must_be_a_number_where_such_a_model_takes_part(suite_file: SuiteFile) -> None:
    automatic = ('name = "sound"', 'name = "sound"\nbatch_size = "auto"')
    problem = problem_of(suite_file(IN_BATCHES, automatic))
    assert problem.startswith('batch_size: predictions of batch depend on the batch: write a number, not "auto"')
    assert make_plan(suite_file(IN_BATCHES, automatic, more='models = "plain"\n')).jobs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((PLAIN, f'{PLAIN}\nbn = "batch"'), 'models[0]: bn = "batch": zoo:digits-vgg6-none has no BatchNorm layer'),
        ((BATCH, f'{BATCH}\nrn = "tracked"'), 'models[1]: rn = "tracked": zoo:digits-vgg6-bn has no RobustNorm layer'),
        (
            (BATCH, f'{BATCH}\nbn = "b"'),
            "models[1].bn: input should be 'population', 'batch', 'recalibrated' or 'folded'",
        ),
    ],
)
def test_a_view_that_does_not_apply_is_a_mistake(change: tuple[str, str], message: str, suite_file: SuiteFile) -> None:
    assert problem_of(suite_file(change)).startswith(message)


def test_a_last_batch_of_one_image_is_a_mistake_where_its_statistics_are_undefined(
    suite_file: SuiteFile, module: Module
) -> None:
    name = module(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))\n"
    )
    flat = (BATCH, f'id = "python:{name}:net"\nbn = "batch"')
    assert make_plan(suite_file(flat)).models["batch"].classes == 10
    problem = problem_of(suite_file(flat, ('name = "sound"', 'name = "sound"\nbatch_size = 19')))
    assert "cannot take the images of digits (test)" in problem
    assert "Expected more than 1 value per channel" in problem


def test_screening_is_left_out_where_survivors_cannot_be_attacked_by_themselves(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(IN_BATCHES, ('name = "sound"', 'name = "sound"\nprecision = "screen"')))
    assert [job.questions[0].precision for job in plan.jobs if job.craft] == ["screen", "float32"]
