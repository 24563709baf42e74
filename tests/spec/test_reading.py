"""From a suite file to a `Suite`, or to all of its mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import Problems
from harness.core.threat import ThreatModel
from harness.spec import Suite, load_suite, read_suite, shipped_suites

SuiteFile = Callable[..., Path]

JARGON = re.compile(
    r"(?i:value error|assertion|literal\[|function-|union|pydantic|instance of|validation|dictionary)|None|True|False",
)
"""Words of our tools that mean nothing to somebody who writes a suite file."""


def problems_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(Problems) as raised:
        load_suite(str(path), overrides)
    return raised.value.problems


def test_a_sound_suite_is_read_key_by_key(suite_file: SuiteFile) -> None:
    suite = load_suite(suite_file())
    assert suite.name == "sound"
    assert [dataset.id for dataset in suite.datasets] == ["digits"]
    assert suite.datasets[0].samples == 20
    assert suite.threats[0].models == [ThreatModel("linf", 8 / 255, "untargeted")]
    assert [(model.name, model.facts) for model in suite.models] == [("plain", {"bn": "N"}), ("batch", {"bn": "Y"})]
    assert suite.attacks[0].arguments == {"steps": 3}
    assert suite.whitebox is not None
    assert suite.transfer is None
    assert suite.seeds == [0]


def test_keys_of_a_data_set_beyond_the_known_ones_go_to_its_loader(suite_file: SuiteFile) -> None:
    suite = load_suite(suite_file(("samples = 20", 'samples = 20\nsplit = "train"\npath = "x"')))
    assert suite.datasets[0].arguments == {"split": "train", "path": "x"}


def test_one_table_and_a_list_of_one_table_are_the_same(suite_file: SuiteFile) -> None:
    one = load_suite(suite_file())
    many = load_suite(suite_file(("[dataset]", "[[datasets]]"), ("[threat]", "[[threats]]")))
    assert one == many


def test_a_budget_may_be_all_of_a_pixel_and_in_l2_as_good_as_none(suite_file: SuiteFile) -> None:
    assert load_suite(suite_file(('epsilon = "8/255"', "epsilon = 1"))).threats[0].epsilon == [1]
    unbounded = suite_file(('norm = "linf"', 'norm = "l2"'), ('epsilon = "8/255"', "epsilon = 29"))
    assert load_suite(unbounded).threats[0].epsilon == [29]


def test_every_wrong_budget_of_a_list_is_told(suite_file: SuiteFile) -> None:
    problems = problems_of(suite_file(('"8/255"', "[true, -0.1, 0]")))
    assert [problem.partition(" ")[0] for problem in problems] == [f"threat.epsilon[{i}]:" for i in range(3)]


def test_a_budget_may_be_a_list_and_a_selection_a_single_name(suite_file: SuiteFile) -> None:
    suite = load_suite(suite_file(('epsilon = "8/255"', 'epsilon = ["4/255", 0.5]'), more='models = "plain"\n'))
    assert [threat.epsilon for threat in suite.threats[0].models] == [4 / 255, 0.5]
    assert suite.whitebox is not None
    assert suite.whitebox.models == ["plain"]


def test_a_file_with_a_byte_order_mark_is_read(suite_file: SuiteFile) -> None:
    path = suite_file()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_suite(path).name == "sound"


def test_a_suite_cannot_be_changed_once_it_is_read(suite_file: SuiteFile) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_suite(suite_file()).name = "other"


@pytest.mark.parametrize("name", shipped_suites())
def test_a_shipped_suite_is_sound_and_named_like_its_file(name: str) -> None:
    assert load_suite(name).name == name


TABLE = '[[tables]]\nrows = "model"\ncolumns = "attack"\n'

WRONG: dict[str, tuple[tuple[str, str], str]] = {
    "an unknown table": (("[whitebox]", "[whitebocks]"), "whitebocks: unknown key.\n     did you mean: whitebox?"),
    "an unknown key of a model": (
        ('facts = { bn = "N" }', 'lable = "x"'),
        "models[0].lable: unknown key.\n     did you mean: label?",
    ),
    "an unknown key of the threat": (
        ('norm = "linf"', 'norm = "linf"\neps = 1'),
        "threat.eps: unknown key.\n     did you mean: epsilon?",
    ),
    "an unknown key of a section": (
        ("[whitebox]", '[whitebox]\nmodel = "a"'),
        "whitebox.model: unknown key.\n     did you mean: models?",
    ),
    "a missing key": (('id = "zoo:digits-vgg6-none"\n', ""), "models[0].id: this key is required"),
    "a division by zero": (('"8/255"', '"8/0"'), "threat.epsilon: '8/0' divides by zero"),
    "a budget below zero": (('"8/255"', "-0.1"), "threat.epsilon: -0.1 must be greater than 0"),
    "a budget of zero": (('"8/255"', "0"), "threat.epsilon: 0 must be greater than 0"),
    "a budget in levels of grey": (
        ('"8/255"', "[1, 8]"),
        "threat.epsilon: 8 is more than the whole range of pixels; L∞ budgets are on the [0, 1] scale: did you mean "
        '"8/255"?',
    ),
    "no budget": (('"8/255"', "[]"), "threat.epsilon: this must not be empty"),
    "a budget twice": (('"8/255"', '["8/255", "16/510"]'), "is given twice"),
    "a formula": (('"8/255"', '"__import__(1)"'), 'is not a number; write 0.03 or "8/255"'),
    "an unknown norm": (
        ('norm = "linf"', 'norm = "l7"'),
        "threat.norm: input should be 'linf', 'l2' or 'l1' (given: 'l7')",
    ),
    "an unknown goal": (
        ('norm = "linf"', 'norm = "linf"\ngoal = "best"'),
        "threat.goal: input should be 'untargeted', 'next' or 'random'",
    ),
    "no image": (
        ("samples = 20", "samples = 0"),
        "dataset.samples: input should be greater than or equal to 1 (given: 0)",
    ),
    "a number as text": (
        ("samples = 20", 'samples = "20"'),
        "dataset.samples: input should be a valid integer (given: '20')",
    ),
    "a number as truth": (
        ("samples = 20", "samples = true"),
        "dataset.samples: input should be a valid integer (given: true)",
    ),
    "an unknown choice": (
        ("samples = 20", 'indices = "last"'),
        "dataset.indices: input should be 'balanced' or 'first' or a valid list (given: 'last')",
    ),
    "a wrong index": (
        ("samples = 20", 'indices = [1, "b"]'),
        "dataset.indices[1]: input should be a valid integer (given: 'b')",
    ),
    "a fact that is a list": (
        ('{ bn = "N" }', "{ bn = [1] }"),
        "facts.bn: input should be a valid string or a valid integer or a valid number or a valid boolean",
    ),
    "a fact that is no number": (
        ('{ bn = "N" }', "{ quality = nan }"),
        "facts.quality: input should be a valid string or a valid integer or a finite number or a valid boolean",
    ),
    "a fact without bounds": (
        ("steps = 3", "facts = { quality = -inf }"),
        "attacks[0].facts.quality: input should be a valid string or a valid integer or a finite number",
    ),
    "seeds of the wrong type": (
        ('name = "sound"', 'name = "sound"\nseeds = ["a"]'),
        "seeds[0]: input should be a valid integer (given: 'a')",
    ),
    "a seed beyond 64 bits": (
        ('name = "sound"', f'name = "sound"\nseeds = [{2**63}]'),
        f"seeds[0]: input should be less than or equal to {2**63 - 1} (given: {2**63})",
    ),
    "a single seed": (
        ('name = "sound"', 'name = "sound"\nseeds = 1'),
        "seeds: input should be a valid list (given: 1)",
    ),
    "an attack under no threat model": (
        ("steps = 3", "steps = 3\nthreats = []"),
        "attacks[0].threats: this must not be empty",
    ),
    "no seed": (('name = "sound"', 'name = "sound"\nseeds = []'), "seeds: this must not be empty"),
    "a seed twice": (('name = "sound"', 'name = "sound"\nseeds = [1, 1]'), "seeds: 1 is given twice"),
    "no batch": (
        ('name = "sound"', 'name = "sound"\nbatch_size = 0'),
        "batch_size: input should be greater than or equal to 1 or 'auto' (given: 0)",
    ),
    "a name with a path in it": (
        ('"sound"', '"a/b"'),
        "name: write letters, digits, dots, hyphens and underscores only",
    ),
    "a table that would be written elsewhere": (
        ("[whitebox]", f'{TABLE}name = "../../outside"\n[whitebox]'),
        "tables[0].name: write letters, digits, dots, hyphens and underscores only, beginning with a letter or digit",
    ),
    "a table whose name is no link": (
        ("[whitebox]", f'{TABLE}name = "t t"\n[whitebox]'),
        "tables[0].name: write letters, digits, dots, hyphens and underscores only",
    ),
    "a table whose name no file can have": (
        ("[whitebox]", f'{TABLE}name = "{300 * "x"}"\n[whitebox]'),
        "tables[0].name: write at most 100 characters",
    ),
    "a table where a list belongs": (("[[attacks]]", "[attacks]"), "attacks: write [[attacks]], once per entry"),
    "a list where a table belongs": (
        ("[dataset]", "[[dataset]]"),
        "dataset: several are written [[datasets]], one is written [dataset]",
    ),
    "a value where a table belongs": (
        ('name = "sound"', 'name = "sound"\ntransfer = 3'),
        "transfer: this must be a table of keys",
    ),
    "an empty selection": (("[whitebox]", "[whitebox]\nmodels = []"), "whitebox.models: this must not be empty"),
    "an unknown value of a table": (
        ("[whitebox]", '[[tables]]\nrows = "a"\ncolumns = "b"\nvalue = "asr"\n[whitebox]'),
        "tables[0].value: input should be 'robust_accuracy', 'attack_success_rate'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_told_once_with_its_place_and_in_plain_words(what: str, suite_file: SuiteFile) -> None:
    change, message = WRONG[what]
    (problem,) = problems_of(suite_file(change))
    assert message in problem
    assert not JARGON.search(problem), problem


def test_two_forms_of_one_table_are_one_mistake(suite_file: SuiteFile) -> None:
    path = suite_file(more='[[datasets]]\nid = "cifar10"\n')
    assert problems_of(path) == ["dataset: write [dataset] or [[datasets]], not both"]


def test_all_mistakes_of_a_file_are_told_together(suite_file: SuiteFile) -> None:
    changes = [WRONG[what][0] for what in ("an unknown table", "a division by zero", "no image", "a missing key")]
    with pytest.raises(Problems) as raised:
        load_suite(suite_file(*changes))
    assert {problem.partition(":")[0] for problem in raised.value.problems} == {
        "whitebocks", "threat.epsilon", "dataset.samples", "models[0].id",
    }  # fmt: skip
    assert str(raised.value).startswith(f"{suite_file(*changes)}: 4 mistakes, nothing was run.")
    assert raised.value.exit_code == 2


def test_an_empty_file_lacks_everything_that_a_suite_needs(workplace: Path) -> None:
    (workplace / "empty.toml").write_text("")
    problems = problems_of(workplace / "empty.toml")
    assert [problem.partition(":")[0] for problem in problems] == ["name", "datasets", "models"]


@pytest.mark.parametrize("what", WRONG)
def test_what_is_right_in_a_file_with_a_mistake_can_still_be_looked_at(what: str, suite_file: SuiteFile) -> None:
    reading = read_suite(suite_file(WRONG[what][0]))
    assert isinstance(reading.suite, Suite)
    if "model" not in what:
        assert [model.id for model in reading.suite.models][1:] == ["zoo:digits-vgg6-bn"]


def test_an_entry_with_a_mistake_keeps_its_position_and_its_name(suite_file: SuiteFile) -> None:
    reading = read_suite(suite_file(('id = "zoo:digits-vgg6-none"', "id = 3")))
    assert [model.name for model in reading.suite.models] == ["plain", "batch"]
    assert [model.facts for model in reading.suite.models] == [{"bn": "N"}, {"bn": "Y"}]
    assert reading.unread == {("models", 0)}
