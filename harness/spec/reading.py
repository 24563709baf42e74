"""From a suite file to a `Suite`, with every mistake on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.errors import HarnessError, Problems
from harness.core.validation import Mistake, mistakes_in
from harness.spec.files import find_suite, read_toml
from harness.spec.overrides import apply_override
from harness.spec.repair import STAND_INS, Repair
from harness.spec.suite import SINGULAR, Suite, plural

HINTS = {
    "name": 'such as name = "my-suite"',
    "datasets": 'add [dataset] with at least an id, such as id = "digits"',
    "models": "add [[models]], one per model, with name and id",
}
"""What to write where something is missing."""

ROUNDS = 4
"""A stand-in can bring up a mistake that was hidden; its parts cannot."""


@dataclass(frozen=True)
class Reading:
    """A suite as far as it could be read, and every mistake found on the way."""

    suite: Suite
    """With defaults and stand-ins in place of mistakes."""
    path: str
    """The file."""
    problems: tuple[str, ...] = ()
    """One paragraph per mistake."""
    unread: frozenset[tuple[str, int]] = frozenset()
    """Entries with a stand-in, as list and position: their names count, nothing else about them does."""
    nameless: frozenset[str] = frozenset()
    """Lists in which a name could not be read."""
    facts_known: bool = True
    """Whether the free columns of all models and attacks could be read."""
    singular: frozenset[str] = frozenset()
    """Which of `[dataset]` and `[threat]` the file uses."""

    def place(self, kind: str, position: int) -> str:
        """How the file refers to an entry: "models[1]", or "threat" when that is what it says."""
        one = next((one for one, many in SINGULAR.items() if many == kind), "")
        return one if one in self.singular else f"{kind}[{position}]"


def load_suite(name: str | Path, overrides: Iterable[str] = ()) -> Suite:
    """Read and validate a suite file. Raises Problems listing every mistake in it."""
    reading = read_suite(name, overrides)
    if reading.problems:
        raise Problems(reading.path, reading.problems)
    return reading.suite


def read_suite(name: str | Path, overrides: Iterable[str] = ()) -> Reading:
    """Read a suite by path or shipped name, mistakes included.

    Args:
        name: a TOML file, or the name of a shipped suite.
        overrides: `key.path=value` pairs, value in TOML notation or plain text.

    Raises:
        HarnessError: when there is no such file, or it is not TOML.
    """
    path = find_suite(name)
    raw, problems = read_toml(path), []
    for override in overrides:
        try:
            raw = apply_override(raw, override)
        except HarnessError as error:
            problems.append(str(error))
    problems += _two_forms(raw)
    return _validated(raw, problems, str(path))


def _two_forms(raw: dict[str, Any]) -> list[str]:
    """Settle between `[dataset]` and `[[datasets]]`, and say what is wrong with having both."""
    problems = []
    for one, many in SINGULAR.items():
        if one in raw and many in raw:
            problems.append(f"{one}: write [{one}] or [[{many}]], not both")
            del raw[one]
        elif isinstance(raw.get(one), list):
            problems.append(f"{one}: several are written [[{many}]], one is written [{one}]")
            raw[many] = raw.pop(one)
    return problems


def _validated(raw: Mapping[str, Any], problems: list[str], path: str) -> Reading:
    singular = frozenset(SINGULAR) & set(raw)
    repair = Repair(plural(raw))
    for round in range(ROUNDS):
        try:
            suite = Suite.model_validate(repair.raw)
        except ValidationError as error:
            mistakes = mistakes_in(error, Suite, repair.raw)
            # Later rounds find only what repairing brought about.
            problems += [_in_words(mistake, singular) for mistake in mistakes if round == 0]
            repair.apply(mistakes)
        else:
            found = frozenset(repair.unread), frozenset(repair.nameless), repair.facts_known
            return Reading(suite, path, tuple(problems), *found, singular=singular)
    raise Problems(path, problems)


def _in_words(mistake: Mistake, singular: frozenset[str]) -> str:
    """A mistake under the name of the table that the file uses, with what to write."""
    kind, *below = mistake.location
    one = next((one for one, many in SINGULAR.items() if many == kind), "")
    if one in singular and below:
        mistake = mistake._replace(location=(one, *below[1:]))
    elif len(mistake.location) == 1 and mistake.kind == "list_type" and kind in STAND_INS:
        mistake = mistake._replace(message=f"write [[{kind}]], once per entry")
    elif len(mistake.location) == 1 and mistake.kind in ("missing", "too_short") and kind in HINTS:
        mistake = mistake._replace(message=f"{mistake.message}.\n     {HINTS[str(kind)]}")
    return str(mistake)
