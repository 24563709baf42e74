"""Validation errors in words: the key's path, what is wrong, and the nearest known key."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from harness.core.errors import HarnessError, did_you_mean


def key_path(location: Sequence[str | int]) -> str:
    """("attacks", 1, "steps") -> "attacks[1].steps"."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def explain(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """One sentence per mistake, in the order of the keys."""
    for detail in error.errors():
        location = [part for part in detail["loc"] if isinstance(part, int) or not part.endswith(("]", ")"))]
        path = key_path(location)
        if detail["type"] == "extra_forbidden":
            known = _keys_at(model, location[:-1])
            yield f"{path}: unknown key.\n     {did_you_mean(str(location[-1]), known)}"
        elif detail["type"] == "missing":
            yield f"{path}: this key is required"
        else:
            message = detail["msg"].removeprefix("Value error, ")
            given = detail["input"]
            shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) and repr(given) not in message else ""
            yield f"{path}: {message[0].lower() + message[1:]}{shown}"


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The known keys of the table at a location, found by walking the models' annotations."""
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        nested = next(_models_in(annotation), None)
        if nested is None:
            return []
        model = nested
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def check_value(parameter: inspect.Parameter, value: Any) -> Any:
    """A value in the type that a registered callable's parameter asks for.

    Raises:
        HarnessError: with the key, what is wrong, and what was given.
    """
    annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        detail = error.errors()[0]
        where = key_path([parameter.name, *(part for part in detail["loc"] if isinstance(part, int))])
        message = detail["msg"].removeprefix("Value error, ")
        given = "" if repr(value) in message else f" (given: {value!r})"
        raise HarnessError(f"{where}: {message[0].lower() + message[1:]}{given}") from None
