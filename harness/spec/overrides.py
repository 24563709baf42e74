"""`--set key.path=value`: one key of a suite, changed from the command line."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from typing import Any

from harness.core.errors import HarnessError
from harness.spec.suite import SINGULAR


def apply_override(raw: Mapping[str, Any], override: str) -> dict[str, Any]:
    """A copy of a suite's tables with one key changed; the value is TOML, or else plain text.

    Raises:
        HarnessError: when the form is wrong or the path leads nowhere.
    """
    key, equals, text = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise HarnessError(f"--set {override}: write key.path=value, such as attacks.0.steps=5")
    _check_form(raw, parts, override)
    changed = copy.deepcopy(dict(raw))
    place: Any = changed
    for part in parts[:-1]:
        place = _below(place, part, override)
    _assign(place, parts[-1], _value(text.strip()), override)
    return changed


def _check_form(raw: Mapping[str, Any], parts: list[str], override: str) -> None:
    """Raise HarnessError where the suite has [dataset] and the path leads into [[datasets]], or the other way round."""
    kind, *below = parts
    for one, many in SINGULAR.items():
        if below and kind == many and many not in raw and one in raw:
            inside = below[1:] if below[0] == "0" else below
            written, meant = f"[{one}]", ".".join([one, *inside])
        elif below and kind == one and one not in raw and many in raw:
            written, meant = f"[[{many}]]", ".".join([many, "0", *below])
        else:
            continue
        raise HarnessError(f"--set {override}: the suite has {written}; write {meant}=...")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _below(place: Any, part: str, override: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(part, {})
    return place[_position(place, part, override)]


def _assign(place: Any, part: str, value: Any, override: str) -> None:
    if isinstance(place, dict):
        place[part] = value
    else:
        place[_position(place, part, override)] = value


def _position(place: Any, part: str, override: str) -> int:
    """A position in a list, counted from 0. Raises HarnessError when there is none."""
    if not isinstance(place, list):
        raise HarnessError(f'--set {override}: there is nothing below a plain value, so no "{part}"')
    if not part.isdecimal() or int(part) >= len(place):
        raise HarnessError(
            f'--set {override}: "{part}" is no position in a list of {len(place)}.\n     positions count from 0'
        )
    return int(part)
