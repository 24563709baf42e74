"""From a suite to jobs, questions and cells; or to every mistake at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.cells import Cell
from harness.core.errors import Problems
from harness.plan import Options, Plan, make_plan
from harness.store import Question

SuiteFile = Callable[..., Path]
Module = Callable[[str], str]

NOTHING = "\n     "
"""Between what is wrong and how to fix it."""


def problems_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(Problems) as raised:
        make_plan(path, Options(overrides))
    return raised.value.problems


def attacked(plan: Plan) -> list[Cell]:
    return [cell for cell in plan.cells.cells if cell.mode != "clean"]


# --- mistakes ---------------------------------------------------------------------------------------------------

TABLE = '[[tables]]\nrows = ["model"]\ncolumns = ["attack"]\n'

MISTAKES: dict[str, tuple[tuple[str, str], str]] = {
    "a misspelt attack": (
        ('name = "pgd"', 'name = "pdg"'),
        'attacks[0].name: attack "pdg" is not registered.\n     did you mean: pgd?',
    ),
    "an unknown library of attacks": (
        ('name = "pgd"', 'name = "torchatacks:PGD"'),
        "there is no adapter \"torchatacks\".\n     did you mean: torchattacks?",
    ),
    "an unknown key of an attack": (
        ("steps = 3", "step = 3"),
        'attacks[0].step: attack "pgd" has no such key.\n     did you mean: steps',
    ),
    "no steps": (
        ("steps = 3", "steps = 0"),
        "attacks[0].steps: input should be greater than or equal to 1 (given: 0)",
    ),
    "no steps in a sweep": (
        ("steps = 3", "steps = [3, 0]"),
        "attacks[0].steps: input should be greater than or equal to 1 (given: 0)",
    ),
    "a truth value for a number": (
        ("steps = 3", "steps = true"),
        "attacks[0].steps: input should be a valid integer (given: true)",
    ),
    "a sweep over nothing": (("steps = 3", "steps = []"), "attacks[0].steps: an empty list runs nothing"),
    "a step that is no length": (
        ("steps = 3", 'step_size = "eps/0"'),
        "attacks[0].step_size: 'eps/0' divides by zero",
    ),
    "an unknown loss": (
        ("steps = 3", 'loss = "ce"'),
        "attacks[0].loss: input should be 'cross-entropy'",
    ),
    "an unknown preset": (
        ('name = "pgd"\nsteps = 3', 'name = "mi-fgsm"\npreset = "papr"'),
        'attacks[0].preset: attack "mi-fgsm" has no preset "papr".\n     did you mean: paper?',
    ),
    "an unknown threat model of an attack": (
        ("steps = 3", 'threats = ["l2"]'),
        'attacks[0].threats: there is no threat model "l2".\n     known: linf',
    ),
    "two attacks of one name": (
        ("steps = 3", 'steps = 3\n[[attacks]]\nname = "pgd"'),
        'attacks[1]: two attacks are called "PGD"; give one a label',
    ),
    "two threat models of one name": (
        ("[threat]", '[[threats]]\nnorm = "linf"\nepsilon = 1\n[[threats]]'),
        'threats[1]: two threat models are called "linf"; give one a name',
    ),
    "two data sets of one name": (
        ("[dataset]", '[[datasets]]\nid = "digits"\n[[datasets]]'),
        'datasets[1]: two data sets are called "digits (test)"; give one a label',
    ),
    "two models of one name": (
        ('name = "batch"', 'name = "plain"'),
        'models[1].name: two models are called "plain"; names are unique',
    ),
    "an unknown zoo model": (
        ('"zoo:digits-vgg6-none"', '"zoo:digits-vgg6-nnoe"'),
        'models[0]: there is no zoo model "digits-vgg6-nnoe".\n     did you mean: digits-vgg6-none',
    ),
    "a model without a source": (('"zoo:digits-vgg6-none"', '"vgg19"'), 'models[0]: model "vgg19" names no source'),
    "a model for other images": (
        ('"zoo:digits-vgg6-none"', '"zoo:cifar10-resnet20-none"'),
        "cannot take the images of digits (test), (1, 8, 8)",
    ),
    "an unknown data set": (
        ('id = "digits"', 'id = "digit"'),
        'dataset.id: dataset "digit" is not registered.\n     did you mean: digits?',
    ),
    "an unknown key of a data set": (
        ("samples = 20", 'spilt = "train"'),
        'dataset: dataset "digits" has no key spilt.\n     did you mean: split?',
    ),
    "a wrong value of a data set": (
        ("samples = 20", 'split = "val"'),
        "dataset.split: input should be 'train' or 'test' (given: 'val')",
    ),
    "a missing directory": (
        ('id = "digits"', 'id = "cifar10"\nroot = "/nowhere"'),
        "dataset: CIFAR-10 is not in /nowhere",
    ),
    "more images than there are": (("samples = 20", "samples = 600"), "dataset: samples = 600, but the data set has 599"),
    "an unknown model of a section": (
        ("[whitebox]", '[whitebox]\nmodels = "palin"'),
        'whitebox.models: nothing is called "palin".\n     did you mean: plain?',
    ),
    "a fact that no model has": (
        ("[whitebox]", '[whitebox]\nmodels = "facts.bm=N"'),
        "whitebox.models: no model has facts.bm.\n     did you mean: facts.bn?",
    ),
    "a value that no fact has": (
        ("[whitebox]", '[whitebox]\nmodels = "facts.bn=X"'),
        'whitebox.models: no model has facts.bn = "X".\n     known: N, Y',
    ),
    "an unknown attack of a section": (
        ("[whitebox]", '[whitebox]\nattacks = ["pgd", "cw*"]'),
        'whitebox.attacks: nothing is called "cw*".\n     known: pgd',
    ),
    "an unknown threat model of a section": (
        ("[whitebox]", '[whitebox]\nthreats = "l2"'),
        'whitebox.threats: nothing is called "l2".\n     known: linf',
    ),
    "an unknown target": (
        ("[whitebox]", '[transfer]\ntargets = ["btach"]'),
        'transfer.targets: nothing is called "btach".\n     did you mean: batch?',
    ),
    "an attack in a norm that it does not know": (
        ('name = "pgd"\nsteps = 3', 'name = "torchattacks:CW"'),
        "does not work in the norm linf, only in l2",
    ),
    "attacks that meet none of their threat models": (
        ("[whitebox]", '[[attacks]]\nname = "fgsm"\nthreats = ["linf"]\n[whitebox]\nattacks = "fgsm"\nthreats = "two"'),
        "whitebox.threats: none of its attacks runs under any of its threat models",
    ),
    "nothing to do": (("[whitebox]", ""), "suite: nothing says what runs on what; add [whitebox] or [transfer]"),
    "no attack to do it with": (
        ('[[attacks]]\nname = "pgd"\nsteps = 3\n', ""),
        "whitebox.attacks: there is no attack; add [[attacks]], one per attack",
    ),
    "an unknown facet of a table": (
        ("[whitebox]", TABLE.replace("model", "modle") + "[whitebox]"),
        'tables[0]: facet "modle" is not known.\n     did you mean: mode, model?',
    ),
    "a filter that nothing passes": (
        ("[whitebox]", TABLE + 'where = { attack = "PDG" }\n[whitebox]'),
        "tables[0]: where: no cell has attack = 'PDG'.\n     did you mean: PGD?",
    ),
    "a table of a section that is not there": (
        ("[whitebox]", TABLE + 'mode = "transfer"\n[whitebox]'),
        'tables[0]: mode = "transfer", but the suite has no section [transfer]',
    ),
    "two tables of one name": (
        ("[whitebox]", 2 * (TABLE + 'name = "one"\n') + "[whitebox]"),
        'tables: table "one": two tables have this name',
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_problem_with_its_place_and_a_way_out(what: str, suite_file: SuiteFile) -> None:
    change, message = MISTAKES[what]
    path = suite_file(change)
    if what == "attacks that meet none of their threat models":
        path.write_text(path.read_text().replace("[threat]", '[[threats]]\nname = "two"\nnorm = "l2"\nepsilon = 1\n[[threats]]'))
    (problem,) = problems_of(path)
    assert message in problem


def test_mistakes_of_every_kind_are_told_in_one_go_and_nothing_else(suite_file: SuiteFile, workplace: Path) -> None:
    path = suite_file(
        ('name = "sound"', 'name = "sound"\nseeds = ["a"]\ncolour = "red"'),
        ("samples = 20", 'samples = 0\nroot = "/nowhere"'),
        ('id = "digits"', 'id = "cifar10"'),
        ('epsilon = "8/255"', 'epsilon = "8/0"'),
        ('"zoo:digits-vgg6-none"', '"zoo:digits-vgg6-nnoe"'),
        ('name = "batch"', 'name = "plain"\nlable = "x"'),
        ("steps = 3", 'steps = 0\nstep_sise = 1\nthreats = ["l2"]\n[[attacks]]\nname = "pdg"'),
        ("[whitebox]", TABLE.replace("model", "modle") + '[whitebox]\nmodels = ["plain", "nobody"]\nattacks = ["pgd", "none"]'),
    )  # fmt: skip
    places = [problem.partition(": ")[0] for problem in problems_of(path, "name.x=1", "attacks.5.steps=1")]
    assert sorted(places) == sorted([
        "--set name.x=1", "--set attacks.5.steps=1", "seeds[0]", "colour", "dataset.samples", "dataset", "threat.epsilon",
        "models[0]", "models[1].lable", "models[1].name", "attacks[0].steps", "attacks[0].step_sise", "attacks[0].threats",
        "attacks[1].name", "whitebox.models", "whitebox.attacks", "tables[0]",
    ])  # fmt: skip
    assert not (workplace / ".harness").exists()


@pytest.mark.parametrize(
    "change",
    [
        ('id = "zoo:digits-vgg6-none"', "id = 3"),
        ('id = "zoo:digits-vgg6-none"', 'id = "zoo:nothing"'),
        ('id = "zoo:digits-vgg6-none"', 'id = "zoo:digits-vgg6-none"\nmean = "0.5"\nstd = [1.0]'),
        ('id = "zoo:digits-vgg6-none"', 'id = "file:weights.pt"\nachitecture = 3'),
        ('facts = { bn = "N" }', "facts = 3"),
        ('epsilon = "8/255"', "epsilon = -1"),
        ('norm = "linf"', 'norm = "l7"'),
        ("steps = 3", "steps = 0"),
        ('name = "pgd"', 'name = "pdg"'),
        ('name = "pgd"', "name = 3"),
        ("samples = 20", "samples = 0"),
        ("samples = 20", 'split = "val"'),
        ("[whitebox]", "[whitebox]\nmodel = 3"),
    ],
)
def test_a_mistake_makes_nothing_else_seem_wrong(change: tuple[str, str], suite_file: SuiteFile) -> None:
    """The rest of the suite refers to what is wrong in every way that it can."""
    references = (
        'models = ["plain", "facts.bn=N"]\nattacks = ["pgd", "PGD"]\nthreats = ["linf"]\n'
        '[[tables]]\nrows = ["model", "facts.bn"]\ncolumns = ["attack", "threat"]\nwhere = { "facts.bn" = "N" }\n'
    )
    before = references if change[0] == "[whitebox]" else ""
    after = "" if before else references
    old, new = change
    path = suite_file((old, new + "\n" + before), more=after)
    if change[0] == 'name = "pgd"':
        path.write_text(path.read_text().replace('attacks = ["pgd", "PGD"]', 'attacks = ["pdg"]'))
    problems = problems_of(path)
    assert len(problems) == 1, problems


def test_the_file_is_named_and_the_mistakes_are_counted(suite_file: SuiteFile) -> None:
    path = suite_file(("steps = 3", "steps = 0"))
    with pytest.raises(Problems) as raised:
        make_plan(path)
    assert str(raised.value).splitlines()[0] == f"{path}: 1 mistake, nothing was run."


def test_a_model_whose_forward_pass_raises_is_a_mistake_in_words(suite_file: SuiteFile, module: Module) -> None:
    name = module(
        "from torch import nn\n"
        "class Broken(nn.Module):\n"
        "    def forward(self, images):\n"
        "        return {}['logits']\n"
    )
    (problem,) = problems_of(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Broken"')))
    assert "cannot take the images of digits (test), (1, 8, 8): KeyError: 'logits'" in problem


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("images.flatten(1)[:, :9]", "has 9 classes, digits (test) has 10"),
        ("images.flatten(1).softmax(1)[0]", "must return logits (N, K) for images (N, C, H, W); for one image it returned (64,)"),
        ("[images]", "for one image it returned list"),
    ],
)  # fmt: skip
def test_a_model_that_returns_no_logits_of_the_data_is_refused(
    returned: str, message: str, suite_file: SuiteFile, module: Module
) -> None:
    name = module(
        "from torch import nn\n"
        "class Odd(nn.Module):\n"
        "    def forward(self, images):\n"
        f"        return {returned}\n"
    )
    (problem,) = problems_of(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Odd"')))
    assert message in problem


# --- jobs and cells ---------------------------------------------------------------------------------------------


def test_whitebox_is_every_attack_threat_and_seed_on_every_model_after_its_clean_predictions(suite_file: SuiteFile) -> None:
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
    assert [(cell.attack, job.questions[0].arguments["steps"]) for job in plan.jobs for cell in job.cells if job.craft] == [
        ("P steps=2", 2), ("P steps=3", 3),
    ]  # fmt: skip


def test_an_attack_runs_under_the_threat_models_that_it_names_or_else_under_all_that_it_works_in(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(
        ("[threat]", '[[threats]]\nnorm = "l2"\nepsilon = 0.5\n[[threats]]'),
        ("steps = 3", 'steps = 3\n[[attacks]]\nname = "fgsm"\nthreats = ["l2"]\n[[attacks]]\nname = "torchattacks:FGSM"'),
    ))  # fmt: skip
    assert {(cell.attack, cell.norm) for cell in attacked(plan)} == {
        ("PGD", "l2"), ("PGD", "linf"), ("FGSM", "l2"), ("TORCHATTACKS:FGSM", "linf"),
    }  # fmt: skip


def test_step_sizes_are_resolved_in_units_of_the_threat_model(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(("steps = 3", 'steps = 3\nstep_size = "2.5 eps/steps"')))
    question = plan.jobs[-1].questions[0]
    assert question.arguments["step_size"] == pytest.approx(2.5 * (8 / 255) / 3, rel=1e-12)
    assert question.arguments["random_start"] is True
    assert plan.jobs[-1].craft is not None
    assert plan.jobs[-1].craft.attack.passed == {"steps": 3, "step_size": "2.5 eps/steps"}


def test_the_estimate_counts_every_step_of_every_image(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file())
    assert [job.passes for job in plan.jobs] == [0, 0, 3 * 20, 3 * 20]
    assert all(job.seconds > 0 for job in plan.jobs)


def test_the_command_line_changes_images_and_seeds(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(), Options(limit=4, seed=9))
    assert len(plan.datasets["digits (test)"].labels) == 4
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


# --- questions --------------------------------------------------------------------------------------------------

QUESTION = Question(
    mode="transfer", target="t" * 64, surrogate="s" * 64, dataset="d" * 64, attack="mi-fgsm",
    arguments={"steps": 10, "step_size": 0.5, "loss": "cross-entropy"}, attack_version="1.0", norm="linf", epsilon=0.25,
    goal="untargeted", seed=7,
)  # fmt: skip


def test_the_id_of_a_question_is_the_sha256_of_its_canonical_json() -> None:
    canonical = (
        '{"arguments":{"loss":"cross-entropy","step_size":0.5,"steps":10},"attack":"mi-fgsm","attack_version":"1.0",'
        f'"dataset":"{"d" * 64}","epsilon":0.25,"goal":"untargeted","mode":"transfer","norm":"linf","precision":"float32",'
        f'"seed":7,"surrogate":"{"s" * 64}","target":"{"t" * 64}"}}'
    )
    assert QUESTION.id == hashlib.sha256(canonical.encode()).hexdigest()
    # Stores that exist must stay readable: this is sha256sum of the line above.
    assert QUESTION.id == "GOLDEN"


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "whitebox"}, {"target": "x"}, {"surrogate": "x"}, {"dataset": "x"}, {"attack": "x"},
        {"arguments": {"steps": 11, "step_size": 0.5, "loss": "cross-entropy"}}, {"attack_version": "1.1"},
        {"norm": "l2"}, {"epsilon": 0.5}, {"goal": "next"}, {"seed": 8}, {"precision": "bfloat16"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_field_of_a_question_changes_its_id(change: dict[str, object]) -> None:
    assert QUESTION.model_copy(update=change).id != QUESTION.id


def test_the_fields_of_a_question_are_all_tested_above() -> None:
    assert set(json.loads(QUESTION.model_dump_json())) == set(Question.model_fields) == {
        "mode", "target", "surrogate", "dataset", "attack", "arguments", "attack_version", "norm", "epsilon", "goal", "seed",
        "precision",
    }  # fmt: skip


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
