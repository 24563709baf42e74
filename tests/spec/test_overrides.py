"""`--set key.path=value`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import Problems
from harness.spec import load_suite

SuiteFile = Callable[..., Path]


def problems_of(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(Problems) as raised:
        load_suite(path, overrides)
    return raised.value.problems


def test_overrides_are_toml_values_or_else_text(suite_file: SuiteFile) -> None:
    suite = load_suite(
        suite_file(),
        ["attacks.0.steps=5", "dataset.samples = 4", "title=Two words", "seeds=[1, 2]", "threat.epsilon=2/255"],
    )
    assert suite.attacks[0].arguments == {"steps": 5}
    assert (suite.datasets[0].samples, suite.title, suite.seeds) == (4, "Two words", [1, 2])
    assert suite.threats[0].epsilon == [2 / 255]


def test_an_override_can_add_a_table(suite_file: SuiteFile) -> None:
    suite = load_suite(suite_file(), ["transfer.surrogates=plain"])
    assert suite.transfer is not None
    assert (suite.transfer.surrogates, suite.transfer.targets) == (["plain"], ["*"])


def test_an_override_leaves_values_that_are_no_text_alone(suite_file: SuiteFile) -> None:
    suite = load_suite(suite_file(("samples = 20", "samples = 20\nsince = 2020-01-01")), ["seeds=[3]"])
    assert str(suite.datasets[0].arguments["since"]) == "2020-01-01"


def test_an_override_of_one_of_several_says_how_they_are_counted(suite_file: SuiteFile) -> None:
    (problem,) = problems_of(suite_file(("[threat]", "[[threats]]")), "threat.epsilon=0.1")
    assert problem == "--set threat.epsilon=0.1: the suite has [[threats]]; write threats.0.epsilon=..."


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("attacks.0.steps", "write key.path=value, such as attacks.0.steps=5"),
        ("=5", "write key.path=value"),
        ("attacks..steps=5", "write key.path=value"),
        ("attacks.1.steps=5", '"1" is no position in a list of 1'),
        ("attacks.-1.steps=5", '"-1" is no position in a list of 1'),
        ("attacks.pgd.steps=5", '"pgd" is no position in a list of 1'),
        ("name.first=x", 'there is nothing below a plain value, so no "first"'),
        ("name.first.second=x", 'there is nothing below a plain value, so no "first"'),
        ("datasets.0.samples=5", "--set datasets.0.samples=5: the suite has [dataset]; write dataset.samples=..."),
        ("threats.epsilon=5", "--set threats.epsilon=5: the suite has [threat]; write threat.epsilon=..."),
        ("atacks.0=5", "atacks: unknown key.\n     did you mean: attacks?"),
        ("dataset.samples=many", "dataset.samples: input should be a valid integer (given: 'many')"),
    ],
)
def test_an_override_that_fits_nothing_is_an_error(override: str, message: str, suite_file: SuiteFile) -> None:
    (problem,) = problems_of(suite_file(), override)
    assert message in problem


def test_wrong_overrides_are_told_together_with_the_mistakes_of_the_file(suite_file: SuiteFile) -> None:
    problems = problems_of(suite_file(("samples = 20", "samples = 0")), "a", "name.x=1")
    assert [problem.partition(":")[0] for problem in problems] == ["--set a", "--set name.x=1", "dataset.samples"]
