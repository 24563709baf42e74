"""From a sound suite to jobs and cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.cells import Cell
from harness.plan import Options, Plan, make_plan

SuiteFile = Callable[..., Path]
Module = Callable[[str], str]


def attacked(plan: Plan) -> list[Cell]:
    return [cell for cell in plan.cells.cells if cell.mode != "clean"]


def test_whitebox_is_every_attack_threat_and_seed_on_every_model_after_its_clean_predictions(
    suite_file: SuiteFile,
) -> None:
    plan = make_plan(suite_file(
        ('name = "sound"', 'name = "sound"\nseeds = [0, 5]'),
        ("steps = 3", 'steps = 3\n[[attacks]]\nname = "fgsm"'),
        ('epsilon = "8/255"', 'epsilon = ["4/255", "8/255"]'),
    ))  # fmt: skip
    assert [(cell.mode, cell.target) for cell in plan.cells.cells[:2]] == [("clean", "plain"), ("clean", "batch")]
    cells = attacked(plan)
    assert len(cells) == 2 * 2 * 2 * 2
    assert len({cell.id for cell in plan.cells.cells}) == 2 + 16
    assert {(cell.attack, cell.threat, cell.seed, cell.surrogate, cell.target) for cell in cells} == {
        (attack, threat, seed, model, model)
        for attack in ("PGD", "FGSM")
        for threat in ("L∞ 4/255", "L∞ 8/255")
        for seed in (0, 5)
        for model in ("plain", "batch")
    }


def test_transfer_crafts_once_per_surrogate_and_judges_on_every_target_itself_included(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(("[whitebox]", '[transfer]\nsurrogates = "plain"')))
    (job,) = [job for job in plan.jobs if job.craft]
    assert job.surrogate == "plain"
    assert [cell.target for cell in job.cells] == ["plain", "batch"]
    assert {cell.mode for cell in job.cells} == {"transfer"}


def test_models_that_no_section_names_are_not_run(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(more='models = "plain"\n'))
    assert {cell.target for cell in plan.cells.cells} == {"plain"}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ('"*"', {"plain", "batch"}),
        ('"pl*"', {"plain"}),
        ('["batch", "plain"]', {"plain", "batch"}),
        ('"facts.bn=Y"', {"batch"}),
        ('["facts.bn = N", "b*"]', {"plain", "batch"}),
    ],
)
def test_models_are_chosen_by_name_pattern_or_fact(selection: str, expected: set[str], suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(more=f"models = {selection}\n"))
    assert {cell.target for cell in attacked(plan)} == expected


def test_facts_are_chosen_as_they_are_written_in_toml(suite_file: SuiteFile) -> None:
    facts = (('{ bn = "N" }', "{ bn = false, depth = 6 }"), ('{ bn = "Y" }', "{ bn = true, depth = 8 }"))
    for selection, expected in (("facts.bn=true", "batch"), ("facts.depth=6", "plain")):
        plan = make_plan(suite_file(*facts, more=f'models = "{selection}"\n'))
        assert {cell.target for cell in attacked(plan)} == {expected}


def test_a_list_as_an_argument_is_a_sweep_whose_label_names_the_value(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(("steps = 3", 'steps = [2, 3]\nlabel = "P"'), more='attacks = "P"\nmodels = "plain"\n'))
    jobs = [job for job in plan.jobs if job.craft]
    assert [job.cells[0].attack for job in jobs] == ["P steps=2", "P steps=3"]
    assert [job.questions[0].arguments["steps"] for job in jobs] == [2, 3]


def test_every_attack_of_a_sweep_carries_the_facts_of_its_entry(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(
        ("steps = 3", 'steps = [2, 3]\nfacts = { by = "ours" }\n[[attacks]]\nname = "fgsm"'),
        more='[[tables]]\nrows = ["model", "attack"]\ncolumns = ["attack.facts.by", "spread"]\n',
    ))  # fmt: skip
    facts = {"by": "ours"}
    assert [(entry.label, entry.facts) for entry in plan.cells.attacks] == [
        ("PGD steps=2", facts), ("PGD steps=3", facts), ("FGSM", {}),
    ]  # fmt: skip
    assert all("facts" not in question.arguments for job in plan.jobs for question in job.questions)


def test_an_attack_runs_under_the_threat_models_that_it_names_or_else_under_all_that_it_works_in(
    suite_file: SuiteFile,
) -> None:
    plan = make_plan(suite_file(
        ("[threat]", '[[threats]]\nnorm = "l2"\nepsilon = 0.5\n[[threats]]'),
        ("steps = 3", '[[attacks]]\nname = "fgsm"\nthreats = ["l2"]\n[[attacks]]\nname = "torchattacks:FGSM"'),
    ))  # fmt: skip
    assert {(cell.attack, cell.norm) for cell in attacked(plan)} == {
        ("PGD", "l2"), ("PGD", "linf"), ("FGSM", "l2"), ("torchattacks:FGSM", "linf"),
    }  # fmt: skip


def test_step_sizes_are_resolved_in_units_of_the_threat_model(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(("steps = 3", 'steps = 3\nstep_size = "2.5 eps/steps"')))
    question = plan.jobs[-1].questions[0]
    assert question.arguments["step_size"] == pytest.approx(2.5 * (8 / 255) / 3, rel=1e-12)
    assert question.arguments["random_start"] is True
    assert plan.jobs[-1].craft is not None
    assert plan.jobs[-1].craft.attack.passed == {"steps": 3, "step_size": "2.5 eps/steps"}


def test_all_attacks_on_a_model_run_before_those_on_the_next_while_tables_keep_the_order_of_the_file(
    suite_file: SuiteFile,
) -> None:
    plan = make_plan(suite_file(
        ("steps = 3", 'steps = 3\n[[attacks]]\nname = "fgsm"'),
        more='[transfer]\nattacks = "fgsm"\n',
    ))  # fmt: skip
    run = [(cell.mode, cell.attack, cell.surrogate) for job in plan.jobs for cell in job.cells[:1]]
    assert run == [
        ("clean", "Clean", "plain"), ("clean", "Clean", "batch"),
        ("whitebox", "PGD", "plain"), ("whitebox", "FGSM", "plain"), ("transfer", "FGSM", "plain"),
        ("whitebox", "PGD", "batch"), ("whitebox", "FGSM", "batch"), ("transfer", "FGSM", "batch"),
    ]  # fmt: skip
    whitebox = [(cell.attack, cell.target) for cell in plan.cells.cells if cell.mode == "whitebox"]
    assert whitebox == [("PGD", "plain"), ("PGD", "batch"), ("FGSM", "plain"), ("FGSM", "batch")]


def test_the_estimate_counts_every_step_of_every_image(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file())
    assert [job.passes for job in plan.jobs] == [0, 0, 3 * 20, 3 * 20]
    assert all(job.seconds > 0 for job in plan.jobs)


def test_the_estimate_counts_looks_at_the_point_itself_only_where_a_sample_may_stop_there(
    suite_file: SuiteFile,
) -> None:
    diverse = ('name = "pgd"', 'name = "di-fgsm"')
    whitebox, transfer = (
        make_plan(suite_file(diverse, ("[whitebox]", f"[{section}]"))).jobs[-1] for section in ("whitebox", "transfer")
    )
    assert (whitebox.passes, transfer.passes) == (3 * 2 * 20, 3 * 20)


def test_the_estimate_of_a_screen_counts_both_of_its_stages(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(('name = "sound"', 'name = "sound"\nprecision = "screen"')))
    assert [job.passes for job in plan.jobs[2:]] == [2 * 3 * 20] * 2


def test_attacks_that_compare_scores_are_planned_in_float32(suite_file: SuiteFile) -> None:
    square = ('name = "pgd"\nsteps = 3', 'name = "square"\nqueries = 4')
    plan = make_plan(suite_file(('name = "sound"', 'name = "sound"\nprecision = "screen"'), square))
    assert {job.questions[0].precision for job in plan.jobs if job.craft} == {"float32"}
    assert [job.passes for job in plan.jobs[2:]] == [(1 + 4) * 20] * 2


def test_the_estimate_counts_the_classes_of_the_model(suite_file: SuiteFile, module: Module) -> None:
    twelve = module(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12)).eval()\n"
    )
    plan = make_plan(suite_file(
        ('name = "pgd"', 'name = "fab"'), ('id = "zoo:digits-vgg6-none"', f'id = "python:{twelve}:net"'),
    ))  # fmt: skip
    assert {job.surrogate: job.passes for job in plan.jobs if job.craft}["plain"] == (1 + 3 * 12) * 20


def test_the_command_line_changes_images_and_seeds(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(), Options(limit=4, seed=9))
    assert len(plan.datasets["digits (test)"]) == 4
    assert {cell.seed for cell in attacked(plan)} == {9}


def test_planning_leaves_the_global_generator_alone(suite_file: SuiteFile, module: Module) -> None:
    name = module(
        "import torch\n"
        "from torch import nn\n"
        "class Noisy(nn.Module):\n"
        "    def forward(self, images):\n"
        "        return images.flatten(1)[:, :10] + torch.rand(10)\n"
    )
    before = torch.get_rng_state()
    make_plan(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Noisy"')))
    assert torch.equal(before, torch.get_rng_state())
