"""Numbers as papers write them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.core.numbers import Length, Number, as_fraction, length_in, parse_length, parse_number

decimals = st.decimals(-1000, 1000, allow_nan=False, places=4).map(str)
positive_floats = st.floats(1e-12, 1e6)
spaces = st.sampled_from(["", " ", "  "])


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("8/255", Fraction(8, 255)),
        (" 1.6 / 255 ", Fraction(16, 2550)),
        ("0.03", Fraction(3, 100)),
        (".5", Fraction(1, 2)),
        ("8.", Fraction(8)),
        ("1e-3", Fraction(1, 1000)),
        ("2.5E+1/1e2", Fraction(1, 4)),
        ("-4/255", Fraction(-4, 255)),
        ("1e400/1e400", Fraction(1)),
    ],
)
def test_text_is_read_as_the_nearest_float_to_the_exact_fraction(text: str, exact: Fraction) -> None:
    assert parse_number(text) == float(exact)


@given(numerator=decimals, denominator=decimals, space=spaces)
def test_every_quotient_of_decimals_is_read_exactly(numerator: str, denominator: str, space: str) -> None:
    text = f"{space}{numerator}{space}/{space}{denominator}{space}"
    if Fraction(denominator) == 0:
        with pytest.raises(ValueError, match="divides by zero"):
            parse_number(text)
    else:
        assert parse_number(text) == float(Fraction(numerator) / Fraction(denominator))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_being_written_out_and_read(value: float) -> None:
    assert parse_number(value) == value
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "8/",
        "/255",
        "1/2/3",
        "--1",
        "1_000",
        "0x10",
        "٣",
        "eight",
        "8;255",
        "2**3",
        "nan",
        "inf",
        True,
        None,
        [8],
        1j,
    ],
)
def test_what_is_not_a_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a number; write 0\.03 or"):
        parse_number(value)


@pytest.mark.parametrize("value", ["1e999", "1/1e-999", 10**400, math.inf, -math.inf, math.nan])
def test_what_no_float_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="is not finite"):
        parse_number(value)


def test_an_exponent_of_many_digits_is_refused_instead_of_written_out() -> None:
    with pytest.raises(ValueError, match="is not a number"):
        parse_number("1e999999999")


@given(st.text(alphabet="0123456789.+-eE/ eps*ilontd", max_size=12))
def test_text_of_the_right_characters_is_read_or_refused_but_never_crashes(text: str) -> None:
    for read in (parse_number, parse_length):
        try:
            value = read(text)
        except ValueError:
            continue
        assert isinstance(value, str) or math.isfinite(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eps", 0.5),
        ("epsilon", 0.5),
        ("eps/4", 0.125),
        (" eps / steps ", 0.05),
        ("2.5 eps/steps", 0.125),
        ("2.5eps/steps", 0.125),
        ("2.5 * eps/steps", 0.125),
        ("1e-1 epsilon/2", 0.025),
        ("2/255", 2 / 255),
        (0.25, 0.25),
    ],
)
def test_shares_of_epsilon_are_resolved_with_the_budget_and_the_steps(text: str | float, expected: float) -> None:
    assert length_in(parse_length(text), epsilon=0.5, steps=10) == pytest.approx(expected, rel=1e-15)


@given(epsilon=positive_floats, steps=st.integers(1, 10_000))
def test_steps_of_epsilon_over_steps_add_up_to_epsilon(epsilon: float, steps: int) -> None:
    assert steps * length_in("eps/steps", epsilon, steps) == pytest.approx(epsilon)
    assert length_in("eps", epsilon, steps) == epsilon


@pytest.mark.parametrize("text", ["eps/", "eps eps", "* eps", "eps/eps", "eps/steps/2", "steps/eps", "EPS/2", "eps^2"])
def test_a_misspelt_share_of_epsilon_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"2\.5 eps/steps|is not a number"):
        parse_length(text)


@pytest.mark.parametrize(("text", "reason"), [("eps/0", "divides by zero"), ("eps/1e-400", "is not finite")])
def test_a_share_of_epsilon_that_is_no_number_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_length(text)


@pytest.mark.parametrize("value", [0, "0", -1, "-1 eps", "eps/-2", "0 eps", "-2/255"])
def test_lengths_are_greater_than_zero(value: Any) -> None:
    with pytest.raises(ValidationError, match="must be greater than 0"):
        TypeAdapter(Length).validate_python(value)


def test_models_read_numbers_and_lengths_by_annotation() -> None:
    assert TypeAdapter(Number).validate_python("8/255") == 8 / 255
    assert TypeAdapter(Length).validate_python("8/255") == 8 / 255
    assert TypeAdapter(Length).validate_python("eps/10") == "eps/10"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (8 / 255, "8/255"),
        (1.6 / 255, "1.6/255"),
        (0.25 / 255, "0.25/255"),
        (float(Fraction(8, 255)) * (1 + 6e-8), "8/255"),
        (0.25, "0.25"),
        (0.5, "0.5"),
        (3.0, "3"),
        (0.0314, "0.0314"),
        (0.3, "0.3"),
        (1e-9, "1e-09"),
        (0.0, "0"),
    ],
)
def test_lengths_are_printed_as_papers_print_them(value: float, printed: str) -> None:
    assert as_fraction(value) == printed


@given(positive_floats)
def test_a_printed_length_is_read_back_to_six_digits(value: float) -> None:
    assert parse_number(as_fraction(value)) == pytest.approx(value, rel=1e-5)
