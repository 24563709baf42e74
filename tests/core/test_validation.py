"""pydantic's errors in the words of somebody who wrote a file: one mistake each, at the place that was written."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.core.errors import HarnessError, Problems, did_you_mean, in_one_line
from harness.core.validation import Strict, check_value, explain, key_path


def _refuse(value: str) -> str:
    raise ValueError(f"{value!r} is refused")


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    count: int = Field(1, ge=1)
    choice: Literal["a", "b"] | list[int] = "a"
    facts: dict[str, str | int] = {}
    refused: Annotated[str, AfterValidator(_refuse)] = ""


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    inner: list[Inner] = []
    first: Inner | None = None


def mistakes(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate(raw)
    return explain(raised.value, Outer, raw)


@pytest.mark.parametrize(
    ("location", "path"),
    [((), ""), (("a",), "a"), (("a", 1, "b"), "a[1].b"), (("a", 0, 1), "a[0][1]"), (("a", "b.c"), "a.b.c")],
)
def test_a_place_is_written_as_in_the_file(location: tuple[str | int, ...], path: str) -> None:
    assert key_path(location) == path


@pytest.mark.parametrize(
    ("raw", "mistake"),
    [
        ({}, "title: this key is required"),
        ({"title": "t", "titel": 1}, "titel: unknown key.\n     did you mean: title?"),
        ({"title": "t", "inner": [{}, {"cuont": 1}]}, "inner[1].cuont: unknown key.\n     did you mean: count?"),
        ({"title": "t", "first": {"cuont": 1}}, "first.cuont: unknown key.\n     did you mean: count?"),
        ({"title": 3}, "title: input should be a valid string (given: 3)"),
        ({"title": True}, "title: input should be a valid string (given: true)"),
        (
            {"title": "t", "inner": [{"count": 0}]},
            "inner[0].count: input should be greater than or equal to 1 (given: 0)",
        ),
        ({"title": "t", "inner": ["x"]}, "inner[0]: this must be a table of keys (given: 'x')"),
        (
            {"title": "t", "inner": [{"choice": "c"}]},
            "inner[0].choice: input should be 'a' or 'b' or a valid list (given: 'c')",
        ),
        (
            {"title": "t", "inner": [{"choice": [1, "x"]}]},
            "inner[0].choice[1]: input should be a valid integer (given: 'x')",
        ),
        (
            {"title": "t", "inner": [{"facts": {"str": [1]}}]},
            "inner[0].facts.str: input should be a valid string or a valid integer",
        ),
        ({"title": "t", "inner": [{"refused": "x"}]}, "inner[0].refused: 'x' is refused"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(raw: dict[str, Any], mistake: str) -> None:
    assert mistakes(raw) == [mistake]


def test_every_mistake_is_told_in_the_order_of_the_keys() -> None:
    found = mistakes({"inner": [{"count": 0}, {"choice": 1}]})
    assert [mistake.partition(":")[0] for mistake in found] == ["title", "inner[0].count", "inner[1].choice"]


class Written(Strict):
    title: str = ""
    switch: bool = False
    rate: float = 1.0
    epochs: tuple[int, ...] = Field((), strict=False)

    @model_validator(mode="after")
    def _titled_or_silent(self) -> Self:
        if self.switch and not self.title:
            raise ValueError("a switch needs a title")
        return self


def test_what_people_write_is_a_list_for_a_tuple_and_an_integer_for_a_float() -> None:
    read = Written.model_validate({"rate": 2, "epochs": [1, 2]})
    assert (read.rate, read.epochs) == (2.0, (1, 2))


@pytest.mark.parametrize(
    ("raw", "mistake"),
    [
        ({"switch": "no"}, "switch: input should be a valid boolean (given: 'no')"),
        ({"rate": True}, "rate: input should be a valid number (given: true)"),
        ({"epochs": ["1"]}, "epochs[0]: input should be a valid integer (given: '1')"),
        ({"switch": True}, "a switch needs a title"),
    ],
)
def test_a_value_that_people_wrote_in_another_type_or_combination_is_a_mistake(
    raw: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        Written.model_validate(raw)
    assert explain(raised.value, Written, raw) == [mistake]


def parameter(annotation: Any) -> inspect.Parameter:
    return inspect.Parameter("steps", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [(int, 3, 3), (float, 3, 3.0), (bool, False, False), (list[int], [1], [1]), (inspect.Parameter.empty, "x", "x")],
)
def test_a_value_of_the_right_type_is_handed_back(annotation: Any, value: object, expected: object) -> None:
    checked = check_value(parameter(annotation), value)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "3", "steps: input should be a valid integer (given: '3')"),
        (int, True, "steps: input should be a valid integer (given: true)"),
        (int, 3.0, "steps: input should be a valid integer (given: 3.0)"),
        (bool, 1, "steps: input should be a valid boolean (given: 1)"),
        (list[int], [1, "x"], "steps[1]: input should be a valid integer (given: 'x')"),
        (int | str, 1.5, "steps: input should be a valid integer or a valid string (given: 1.5)"),
        (Annotated[int, Field(ge=1)], 0, "steps: input should be greater than or equal to 1 (given: 0)"),
    ],
)
def test_a_value_that_only_looks_right_is_refused_by_its_key(annotation: Any, value: object, message: str) -> None:
    with pytest.raises(HarnessError) as raised:
        check_value(parameter(annotation), value)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("stpes", ["steps", "step_size", "loss"], "did you mean: steps?"),
        ("PGD", ["pgd", "fgsm"], "did you mean: pgd?"),
        ("x", ["b", "a"], "known: a, b"),
        ("x", [], "known: none"),
        (
            "x",
            [f"{number:098}" for number in range(9)],
            "known: " + ", ".join(f"{n:098}" for n in range(4)) + " and 5 more",
        ),
    ],
)
def test_a_misspelt_word_is_met_with_the_nearest_known_ones_or_else_with_what_a_line_holds(
    word: str, known: list[str], expected: str
) -> None:
    assert did_you_mean(word, known) == expected


def test_problems_are_counted_and_numbered_below_the_name_of_the_file() -> None:
    assert str(Problems("a.toml", ["one", "two"])) == "a.toml: 2 mistakes, nothing was run.\n\n  1. one\n\n  2. two"
    assert str(Problems("a.toml", ["one"])).startswith("a.toml: 1 mistake, nothing was run.")


@pytest.mark.parametrize(
    ("error", "line"), [(ValueError("one.\ntwo"), "one"), (KeyError(), "KeyError"), (OSError("\n x \n"), "x")]
)
def test_an_error_in_one_line_is_its_first_one_or_its_kind(error: Exception, line: str) -> None:
    assert in_one_line(error) == line
