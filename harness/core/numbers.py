"""Numbers as papers write them: `"8/255"`, `"1e-3"`, `"eps/10"`. Parsed, never evaluated."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator

# Exponents of three digits cover every float; Fraction would write out the zeros of a longer one.
_DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_NUMBER = re.compile(rf"\s*({_DECIMAL})\s*(?:/\s*({_DECIMAL})\s*)?", re.ASCII)
_OF_EPSILON = re.compile(rf"\s*(?:({_DECIMAL})\s*\*?\s*)?eps(?:ilon)?\s*(?:/\s*({_DECIMAL}|steps)\s*)?", re.ASCII)


def parse_number(value: Any) -> float:
    """A float from a number or from text such as "8/255" or "1.6/255".

    Raises:
        ValueError: for anything else, a zero denominator, or a number that is not finite.
    """
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if not match:
            raise ValueError(f'{value!r} is not a number; write 0.03 or "8/255"')
        numerator, denominator = Fraction(match[1]), Fraction(match[2] or 1)
        if denominator == 0:
            raise ValueError(f"{value!r} divides by zero")
        exact: Fraction | float = numerator / denominator
    elif isinstance(value, int | float) and not isinstance(value, bool):
        exact = value
    else:
        raise ValueError(f'{value!r} is not a number; write 0.03 or "8/255"')
    try:
        number = float(exact)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return number


def parse_length(value: Any) -> float | str:
    """A number, or a share of the budget such as "eps/10" or "2.5 eps/steps", which `length_in` resolves.

    Raises:
        ValueError: for anything else, a zero denominator, or a share that is not finite.
    """
    if not isinstance(value, str) or "eps" not in value:
        return parse_number(value)
    if not _OF_EPSILON.fullmatch(value):
        raise ValueError(f'{value!r} is not a length; write "2/255", "eps/10" or "2.5 eps/steps"')
    try:
        length_in(value, epsilon=1.0, steps=1)
    except ZeroDivisionError:
        raise ValueError(f"{value!r} divides by zero") from None
    except OverflowError:
        raise ValueError(f"{value!r} is not finite") from None
    return value


def length_in(value: float | str, epsilon: float, steps: int) -> float:
    """Resolve what `parse_length` accepted: a length in the units of the threat model."""
    if not isinstance(value, str):
        return value
    match = _OF_EPSILON.fullmatch(value)
    assert match is not None, value
    divisor = Fraction(steps if match[2] == "steps" else match[2] or 1)
    return float(Fraction(match[1] or 1) / divisor) * epsilon


def _positive_length(value: Any) -> float | str:
    length = parse_length(value)
    if not length_in(length, epsilon=1.0, steps=1) > 0:
        raise ValueError(f"{value!r} must be greater than 0")
    return length


def as_fraction(value: float) -> str:
    """How papers print a length: 0.0313725 -> "8/255", 0.25 -> "0.25"."""
    scaled = value * 255
    rounded = round(scaled, 2)
    if abs(scaled - rounded) < 1e-6 * scaled and value < 0.5 and round(value, 4) != value:
        return f"{rounded:g}/255"
    return f"{value:.6g}"


Number = Annotated[float, BeforeValidator(parse_number)]
"""A pydantic float that also reads "8/255"."""

Length = Annotated[float | str, PlainValidator(_positive_length)]
"""A positive length in units of the threat model, or a share of its epsilon ("eps/10", "2.5 eps/steps")."""
