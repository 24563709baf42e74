"""Every mistake in a suite is found before anything runs: all at once, each in its place, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import Problems
from harness.plan import Options, make_plan

SuiteFile = Callable[..., Path]
Module = Callable[[str], str]


def problems_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(Problems) as raised:
        make_plan(path, Options(overrides))
    return raised.value.problems


TABLE = '[[tables]]\nrows = ["model"]\ncolumns = ["attack"]\n'

CLAIM = '[[claims]]\nname = "C"\ngreater = { "facts.bn" = "N" }\nthan = { "facts.bn" = "Y" }\n'

MISTAKES: dict[str, tuple[tuple[str, str], str]] = {
    "a misspelt attack": (
        ('name = "pgd"', 'name = "pdg"'),
        'attacks[0].name: attack "pdg" is not registered.\n     did you mean: pgd?',
    ),
    "an unknown library of attacks": (
        ('name = "pgd"', 'name = "torchatacks:PGD"'),
        'there is no adapter "torchatacks".\n     did you mean: torchattacks, autoattack?',
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
    "an attack with the label of clean images": (
        ("steps = 3", 'label = "Clean"'),
        'attacks[0]: "Clean" is what tables call images without an attack; give it another label',
    ),
    "two threat models of one name": (
        ("[threat]", '[[threats]]\nnorm = "linf"\nepsilon = 1\n[[threats]]'),
        'threats[1]: two threat models are called "linf"; give one a name',
    ),
    "two budgets that are printed alike": (
        ('epsilon = "8/255"', 'epsilon = ["8/255", 0.03137255]'),
        'threat.epsilon: two threat models are printed "L∞ 8/255": of 0.03137254901960784 and of 0.03137255.\n'
        "     leave one of them out",
    ),
    "two threat models that are printed alike": (
        ("[threat]", '[[threats]]\nname = "other"\nnorm = "linf"\nepsilon = 0.03137255\n[[threats]]'),
        'threats[1].epsilon: two threat models are printed "L∞ 8/255"',
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
    "more images than there are": (
        ("samples = 20", "samples = 600"),
        "dataset: samples = 600, but the data set has 599",
    ),
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
    "nothing to do": (("[whitebox]", ""), "suite: nothing says what runs on what; add [whitebox] or [transfer]"),
    "no threat model to do it under": (
        ('[threat]\nnorm = "linf"\nepsilon = "8/255"\n', ""),
        "threats: there is no threat model to attack under.\n     add [threat] with norm and epsilon",
    ),
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
    "an average over what tells apart": (
        ("[whitebox]", TABLE + 'average = "attack"\n[whitebox]'),
        'tables[0]: average: "attack" cannot both tell apart and be averaged over',
    ),
    "an unknown facet of what the best differs in": (
        ("[whitebox]", TABLE + 'best = "greatest"\namong = "modle"\n[whitebox]'),
        'tables[0]: among: "modle" makes no rows or columns.\n     did you mean: model?',
    ),
    "the best of means": (
        ("[whitebox]", TABLE + 'value = "mean_l2"\nbest = "smallest"\n[whitebox]'),
        "tables[0]: best: paired tests compare rates, and mean L2 distance is none.",
    ),
    "among without best": (
        ("[whitebox]", TABLE + 'among = "model"\n[whitebox]'),
        'tables[0].among: it says among which entries the best is marked; add best = "greatest" or "smallest"',
    ),
    "an unknown facet of a claim": (
        ("[whitebox]", CLAIM.replace("facts.bn", "facts.nb") + "[whitebox]"),
        'claims[0]: facet "facts.nb" is not known.\n     did you mean: facts.bn',
    ),
    "a side without cells": (
        ("[whitebox]", CLAIM.replace('"Y"', '"yes"') + "[whitebox]"),
        "claims[0]: than: no cell has facts.bn = 'yes'.\n     known: N, Y",
    ),
    "a match that tells the sides apart": (
        ("[whitebox]", CLAIM + 'match = ["model"]\n[whitebox]'),
        "claims[0]: nothing agrees in dataset, model on both sides",
    ),
    "a side that mixes": (
        ("[whitebox]", CLAIM.replace('"Y"', '["N", "Y"]') + "[whitebox]"),
        'claims[0]: than: a side would mix several values of model: plain, batch.\n     add "model" to match or to av',
    ),
    "a claim without a side": (
        ("[whitebox]", CLAIM.partition("than")[0] + "[whitebox]"),
        "claims[0].than: this key is required",
    ),
    "a claim about a mean": (
        ("[whitebox]", CLAIM + 'value = "mean_l2"\n[whitebox]'),
        "claims[0].value: input should be 'robust_accuracy'",
    ),
    "two claims of one name": (
        ("[whitebox]", 2 * CLAIM + "[whitebox]"),
        'claims: claim "C": two claims have this name',
    ),
    "two tables of one name": (
        ("[whitebox]", 2 * (TABLE + 'name = "one"\n') + "[whitebox]"),
        'tables: table "one": two tables have this name',
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_problem_with_its_place_and_a_way_out(what: str, suite_file: SuiteFile) -> None:
    change, message = MISTAKES[what]
    (problem,) = problems_of(suite_file(change))
    assert message in problem


def test_a_section_whose_attacks_meet_none_of_its_threat_models_runs_nothing(suite_file: SuiteFile) -> None:
    two = ("[threat]", '[[threats]]\nnorm = "l2"\nepsilon = 1\n[[threats]]')
    path = suite_file(two, ("steps = 3", 'threats = ["linf"]'), more='threats = "l2"\n')
    assert problems_of(path) == ["whitebox.threats: none of its attacks runs under any of its threat models"]


def test_an_attack_that_a_section_names_but_offers_no_threat_model_is_a_mistake(suite_file: SuiteFile) -> None:
    two = ("[threat]", '[[threats]]\nnorm = "l2"\nepsilon = 1\n[[threats]]')
    more = ("steps = 3", 'steps = 3\n[[attacks]]\nname = "fgsm"\nthreats = ["l2"]')
    (problem,) = problems_of(suite_file(two, more, more='attacks = ["pgd", "fgsm"]\nthreats = ["linf"]\n'))
    assert problem == (
        'whitebox.attacks: "fgsm" runs under the threat models l2 alone, none of which is among whitebox.threats.\n'
        "     add one there or to the attack's own threats, or leave the attack out"
    )
    make_plan(suite_file(two, more, more='attacks = ["pgd", "f*"]\nthreats = ["linf"]\n'))


def test_an_attack_that_works_in_no_norm_of_two_sections_is_one_mistake(suite_file: SuiteFile) -> None:
    (problem,) = problems_of(suite_file(('name = "pgd"\nsteps = 3', 'name = "cw"'), more="[transfer]\n"))
    assert "does not work in the norm linf, only in l2" in problem


def test_names_may_have_what_patterns_and_filters_are_made_of(suite_file: SuiteFile) -> None:
    path = suite_file(('name = "plain"', 'name = "b[1]"'), ('name = "batch"', 'name = "b=1"'), ("[whitebox]", ""),
                      more='[transfer]\nsurrogates = "b=1"\ntargets = ["b[1]", "b?1"]\n')  # fmt: skip
    crafted = {(c.surrogate, c.target) for c in make_plan(path).cells.cells if c.mode == "transfer"}
    assert crafted == {("b=1", "b[1]"), ("b=1", "b=1")}


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (
            'rows = ["modle"]\ncolumns = ["attack", "budget"]\nvalue = "robust_acc"\n',
            ["tables[0].value: ", 'tables[0]: facet "modle" ', 'tables[0]: facet "budget" '],
        ),
        ('rows = ["modle"]\ncolumns = "budget"\n', ['tables[0]: facet "modle" ', 'tables[0]: facet "budget" ']),
        (
            'rows = "model"\ncolumns = "attack"\ndenominator = "own"\naverage = ["sed"]\n',
            ["tables[0].denominator: ", 'tables[0]: average: no mean is taken over "sed"'],
        ),
        ('rows = "target"\ncolumns = "attack"\nvalue = "attack_succes_rate"\n', ["tables[0].value: "]),
    ],
)
def test_every_mistake_within_a_table_is_told(keys: str, found: list[str], suite_file: SuiteFile) -> None:
    problems = problems_of(suite_file(more="[transfer]\n[[tables]]\n" + keys))
    assert len(problems) == len(found), problems
    assert all(any(problem.startswith(begin) for problem in problems) for begin in found)


def test_mistakes_of_every_kind_are_told_in_one_go_and_nothing_else(suite_file: SuiteFile, workplace: Path) -> None:
    path = suite_file(
        ('name = "sound"', 'name = "sound"\nseeds = ["a"]\ncolour = "red"'),
        ("samples = 20", 'samples = 0\nroot = "/nowhere"'),
        ('id = "digits"', 'id = "cifar10"'),
        ('epsilon = "8/255"', 'epsilon = "8/0"'),
        ('"zoo:digits-vgg6-none"', '"zoo:digits-vgg6-nnoe"'),
        ('name = "batch"', 'name = "plain"\nlable = "x"'),
        ("steps = 3", 'steps = 0\nstep_sise = 1\nthreats = ["l2"]\n[[attacks]]\nname = "pdg"'),
        (
            "[whitebox]",
            TABLE.replace("model", "modle") + CLAIM + 'match = "atack"\n'
            '[whitebox]\nmodels = ["plain", "nobody"]\nattacks = "none"',
        ),
    )
    places = [problem.partition(": ")[0] for problem in problems_of(path, "name.x=1", "attacks.5.steps=1")]
    assert sorted(places) == sorted([
        "--set name.x=1", "--set attacks.5.steps=1", "seeds[0]", "colour", "dataset.samples", "dataset",
        "threat.epsilon", "models[0]", "models[1].lable", "models[1].name", "attacks[0].steps", "attacks[0].step_sise",
        "attacks[0].threats", "attacks[1].name", "whitebox.models", "whitebox.attacks", "tables[0]",
        "claims[0]",
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
        'models = ["plain", "facts.bn=N"]\nattacks = ["p*"]\nthreats = ["linf"]\n'
        '[[tables]]\nrows = ["model", "facts.bn"]\ncolumns = ["attack", "threat"]\nwhere = { "facts.bn" = "N" }\n'
        + CLAIM
    )
    problems = problems_of(suite_file(change, more=references))
    assert len(problems) == 1, problems


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("steps = 3", "steps = 3\nfacts = 3"), "attacks[0].facts: "),
        (("steps = 3", "steps = 3\nfacts = { by = [1] }"), "attacks[0].facts.by: "),
        (("steps = 3", 'steps = 0\nfacts = { by = "us" }'), "attacks[0].steps: "),
        (
            ("steps = 3", 'steps = 3\nfacts = { bye = "us" }'),
            'facet "attack.facts.by" is not known.\n     did you mean: ',
        ),
    ],
)
def test_a_mistake_in_an_attack_makes_no_table_about_its_facts_seem_wrong(
    change: tuple[str, str], problem: str, suite_file: SuiteFile
) -> None:
    more = '[[tables]]\nrows = ["model"]\ncolumns = ["attack.facts.by"]\nwhere = { "attack.facts.by" = "us" }\n'
    (found,) = problems_of(suite_file(change, more=more))
    assert problem in found


def test_an_attack_may_belong_to_a_threat_model_that_could_not_be_read(suite_file: SuiteFile) -> None:
    unread = ("[threat]", '[[threats]]\nnorm = "l2"\nepsilon = "8/0"\n[[threats]]')
    (problem,) = problems_of(suite_file(unread, ('name = "pgd"\nsteps = 3', 'name = "torchattacks:CW"')))
    assert problem.startswith("threats[0].epsilon: ")


def test_the_same_mistake_in_several_places_is_told_once_with_all_of_them(suite_file: SuiteFile) -> None:
    views = "".join(f'[[models]]\nname = "{bn}"\nid = "zoo:nothing"\nbn = "{bn}"\n' for bn in ("folded", "population"))
    (problem,) = problems_of(suite_file(more=views))
    assert problem.startswith('models[2], models[3]: there is no zoo model "nothing"')


def test_the_file_is_named_and_the_mistakes_are_counted(suite_file: SuiteFile) -> None:
    path = suite_file(("steps = 3", "steps = 0"))
    with pytest.raises(Problems) as raised:
        make_plan(path)
    assert str(raised.value).splitlines()[0] == f"{path}: 1 mistake, nothing was run."


def test_a_size_that_no_data_set_asks_for_is_a_mistake(suite_file: SuiteFile) -> None:
    asked = ('id = "zoo:digits-vgg6-none"', 'id = "zoo:digits-vgg6-none"\nresize = 5\ncrop = 4')
    (problem,) = problems_of(suite_file(asked))
    assert problem == "models[0].resize: it has no effect: no data set has the key `size`"


def test_images_of_another_number_of_channels_are_told_with_the_key_that_changes_it(
    suite_file: SuiteFile, module: Module
) -> None:
    name = module(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))\n"
    )
    (problem,) = problems_of(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:net"')))
    assert "expected input[1, 1, 8, 8] to have 3 channels, but got 1" in problem
    assert problem.endswith("data sets of image files have the key `channels`: write channels = 3")


def test_a_model_whose_forward_pass_raises_is_a_mistake_in_words(suite_file: SuiteFile, module: Module) -> None:
    name = module(
        "from torch import nn\nclass Broken(nn.Module):\n    def forward(self, images):\n        return {}['logits']\n"
    )
    (problem,) = problems_of(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Broken"')))
    assert "cannot take the images of digits (test), (1, 8, 8): KeyError: 'logits'" in problem


@pytest.mark.parametrize(
    ("network", "remedy"),
    [
        (
            "nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).half()",
            "its weights are torch.float16; return it in float32",
        ),
        (
            'Classifier(nn.Sequential(nn.Flatten(), nn.Linear(9, 10)), Provenance("x"), input_size=(3, 3))',
            "it is made for 3x3 pixels: data sets with the key `size` scale images",
        ),
    ],
    ids=["half precision", "another size"],
)
def test_what_may_help_is_said(network: str, remedy: str, suite_file: SuiteFile, module: Module) -> None:
    name = module(
        "from torch import nn\nfrom harness.models.classifier import Classifier, Provenance\n"
        f"def load():\n    return {network}\n"
    )
    (problem,) = problems_of(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:load"')))
    assert remedy in problem


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("images.flatten(1)[:, :9]", "has 9 classes, digits (test) has 10"),
        ("images.flatten(1).softmax(1)[0]", "must return logits (N, K) for images (N, C, H, W)"),
        ("[images]", "for one image it returned list"),
    ],
)  # fmt: skip
def test_a_model_that_returns_no_logits_of_the_data_is_refused(
    returned: str, message: str, suite_file: SuiteFile, module: Module
) -> None:
    name = module(
        f"from torch import nn\nclass Odd(nn.Module):\n    def forward(self, images):\n        return {returned}\n"
    )
    (problem,) = problems_of(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Odd"')))
    assert message in problem
