"""What is read is closed to unknown keys, and its mistakes are told in words: place, fault, nearest known key."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from harness.core.errors import HarnessError, did_you_mean

Location = tuple[str | int, ...]

OWN_WORDS = {
    "missing": "this key is required",
    "model_type": "this must be a table of keys",
    "dict_type": "this must be a table of keys",
    "too_short": "this must not be empty",
}
"""What we say for a kind of pydantic's errors; for all others pydantic's words are plain enough."""

EXPECTATION = "input should be "
"""How most of pydantic's sentences begin."""


class Closed(BaseModel):
    """A table or record that cannot be changed and has no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Strict(Closed):
    """A table that people write: values that only look right, such as "10" for 10, are mistakes too.

    A tuple needs `Field(strict=False)` to be written as TOML's list; its entries stay strict.
    """

    model_config = ConfigDict(strict=True)


class Mistake(NamedTuple):
    """One mistake in something that was read."""

    location: Location
    """Keys and positions that lead to it."""
    kind: str
    """pydantic's name for it, such as "missing" or "extra_forbidden"."""
    message: str
    """What is wrong, without the place."""

    def __str__(self) -> str:
        """Place and message; the message alone where it concerns the whole."""
        return f"{key_path(self.location)}: {self.message}" if self.location else self.message


def key_path(location: Sequence[str | int]) -> str:
    """("attacks", 1, "steps") -> "attacks[1].steps"."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def mistakes_in(error: ValidationError, model: type[BaseModel] | None, raw: Any) -> list[Mistake]:
    """One mistake per wrong value of `raw`, in the order of the keys.

    pydantic reports every branch of a union by itself, under a place that names the branch. Here they are one mistake,
    at the place that the user wrote: that of the branch which got furthest.
    """
    found: dict[Location, list[tuple[Location, ErrorDetails]]] = {}
    for detail in error.errors(include_url=False):
        location, union = _in_input(detail, raw)
        found.setdefault(location if union is None else union, []).append((location, detail))
    return [_mistake(branches, model) for branches in found.values()]


def explain(error: ValidationError, model: type[BaseModel], raw: Any) -> list[str]:
    """One sentence per mistake, in the order of the keys."""
    return [str(mistake) for mistake in mistakes_in(error, model, raw)]


def check_value(parameter: inspect.Parameter, value: Any) -> Any:
    """A value in the type that a registered callable's parameter asks for.

    Raises:
        HarnessError: with the key, what is wrong, and what was given.
    """
    annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
    try:
        return TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        mistake = mistakes_in(error, None, value)[0]
        raise HarnessError(f"{key_path([parameter.name, *mistake.location])}: {mistake.message}") from None


def _in_input(detail: ErrorDetails, raw: Any) -> tuple[Location, Location | None]:
    """Where in the input an error is, and the union that it is a branch of, if it is one."""
    location: list[str | int] = []
    union: Location | None = None
    place = raw
    for part in detail["loc"]:
        if _has(place, part):
            location.append(part)
            place = place[part]
        elif detail["type"] == "missing" and part == detail["loc"][-1]:
            location.append(part)
        elif union is None:
            union = tuple(location)
    return tuple(location), union


def _has(place: Any, part: str | int) -> bool:
    if isinstance(place, Mapping):
        return part in place
    return isinstance(place, list) and isinstance(part, int) and part < len(place)


def _mistake(branches: list[tuple[Location, ErrorDetails]], model: type[BaseModel] | None) -> Mistake:
    location = max((place for place, _ in branches), key=len)
    details = [detail for place, detail in branches if place == location]
    kind = details[0]["type"]
    if kind == "extra_forbidden":
        known = _keys_at(model, location[:-1]) if model else []
        return Mistake(location, kind, f"unknown key.\n     {did_you_mean(str(location[-1]), known)}")
    message = _any_of(OWN_WORDS.get(detail["type"]) or _words(detail) for detail in details)
    given = details[0]["input"]
    plain = isinstance(given, str | int | float | bool)
    said = kind == "value_error" and repr(given) in message
    return Mistake(location, kind, message + (f" (given: {_as_toml(given)})" if plain and not said else ""))


def _words(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _any_of(messages: Iterable[str]) -> str:
    """What the branches of a union expect, in one sentence."""
    texts = list(dict.fromkeys(messages))
    first, *others = texts
    return " or ".join([first, *(text.removeprefix(EXPECTATION) for text in others)])


def _as_toml(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
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
