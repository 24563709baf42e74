"""Names and values that the parts of a suite file are written with."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

T = TypeVar("T")

Facts = dict[str, str | int | Annotated[float, Field(allow_inf_nan=False)] | bool]
"""Free columns for tables, by key."""

LONGEST_NAME = 100
"""Characters of a file's name, which leaves room for what is added to it; most file systems allow 255."""


def _file_safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError("write letters, digits, dots, hyphens and underscores only, beginning with a letter or digit")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"write at most {LONGEST_NAME} characters")
    return name


FileName = Annotated[str, AfterValidator(_file_safe)]
"""A name under which files are written."""


def as_list(value: Any) -> Any:
    """A list; a single value becomes a list of one."""
    return value if isinstance(value, list) else [value]


def distinct(values: list[T]) -> list[T]:
    """The values. Raises ValueError when one is given twice: its cells would be one cell."""
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"{value} is given twice")
    return values


def positive(value: float) -> float:
    """The budget. Raises ValueError for one that allows nothing."""
    if value <= 0:
        raise ValueError(f"{value:g} must be greater than 0")
    return value
