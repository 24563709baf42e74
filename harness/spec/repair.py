"""After a mistake: the rest of a suite file, so that further mistakes are found in the same go.

A wrong value is dropped where a default can take its place. Where none can, a stand-in does: the entry keeps its
position, its name and its facts, so that nothing else in the file seems wrong, and is itself not looked at any further.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from harness.core.validation import Location, Mistake
from harness.spec.parts import ModelSpec

UNNAMED = "?"

STAND_INS: dict[str, dict[str, Any]] = {
    "datasets": {"id": UNNAMED},
    "threats": {"norm": "linf", "epsilon": 1.0},
    "models": {"name": UNNAMED, "id": UNNAMED},
    "attacks": {"name": UNNAMED},
    "tables": {"rows": ["attack"], "columns": ["threat"]},
    "claims": {"name": UNNAMED, "greater": {"attack": UNNAMED}, "than": {"attack": UNNAMED}},
}
"""The lists of tables in a suite file, and for each the keys without which an entry is none."""

HARMLESS = {
    "datasets": {"keep", "label", "indices", "paper"},
    "threats": {"goal", "paper"},
    "models": {"label", "facts", "paper"},
    "attacks": {"label", "preset", "facts", "paper"},
}
"""Keys without which an entry can still be looked at, and nothing else seems wrong."""

BROUGHT_BY = {"tables": "reference", "claims": "paper"}
"""Keys in place of which an entry has what a paper prints."""

WITH_FACTS = ("models", "attacks")
"""The lists whose entries bring free columns for tables."""


@dataclass
class Repair:
    """A suite's tables while they are being repaired."""

    raw: dict[str, Any]
    """The tables, `[dataset]` and `[threat]` as lists of one."""
    unread: set[tuple[str, int]] = field(default_factory=set)
    """Entries with a stand-in: list and position."""
    nameless: set[str] = field(default_factory=set)
    """Lists in which a name could not be read: who refers to an unknown name may mean that one."""
    facts_known: bool = True
    """Whether the free columns of all models and attacks could be read."""

    def apply(self, mistakes: Iterable[Mistake]) -> None:
        """Put defaults and stand-ins in place of mistakes."""
        self.raw = copy.deepcopy(self.raw)
        for mistake in mistakes:
            kind, *below = mistake.location
            if kind not in STAND_INS:
                self._drop_key(mistake)
            elif below and isinstance(self.raw[kind][below[0]], dict):
                self._mend(str(kind), int(below[0]), mistake)
            else:
                self._stand_in(str(kind), below)

    def _drop_key(self, mistake: Mistake) -> None:
        section, *below = mistake.location
        if below and isinstance(self.raw.get(str(section)), dict):
            self.raw[str(section)].pop(below[0], None)
        elif section in ("whitebox", "transfer"):
            self.raw[str(section)] = {}
        else:
            self.raw.pop(str(section), None)
            self.raw.setdefault("name", "unnamed")

    def _stand_in(self, kind: str, below: Location | list[str | int]) -> None:
        """For an entry that is no table, or a list of entries that is missing or no list."""
        if below:
            self.raw[kind][below[0]] = dict(STAND_INS[kind])
        else:
            self.raw[kind] = [dict(STAND_INS[kind])]
        self._give_up(kind, int(below[0]) if below else 0)
        self.nameless.add(kind)
        self.facts_known &= kind not in WITH_FACTS

    def _mend(self, kind: str, position: int, mistake: Mistake) -> None:
        """For an entry with a wrong key or value."""
        entry, (key, *below) = self.raw[kind][position], map(str, mistake.location[2:])
        if mistake.kind == "extra_forbidden" and not below:
            _rename(entry, key, kind)
            return
        if kind in WITH_FACTS and key == "facts":
            self.facts_known = False
        if kind == "datasets" and key == "samples":
            entry[key] = 1
        elif key in STAND_INS[kind] and BROUGHT_BY.get(kind, UNNAMED) not in entry:
            entry[key] = STAND_INS[kind][key]
            self._give_up(kind, position)
            if key == "name" or (key == "norm" and not isinstance(entry.get("name"), str)):
                self.nameless.add(kind)
        else:
            entry.pop(key, None)
            if key not in HARMLESS.get(kind, ()):
                self._give_up(kind, position)

    def _give_up(self, kind: str, position: int) -> None:
        self.unread.add((kind, position))


def _rename(entry: dict[str, Any], key: str, kind: str) -> None:
    """Take a misspelt key for the one that it resembles; without its architecture, a model would seem wrong."""
    value = entry.pop(key)
    known = list(ModelSpec.model_fields) if kind == "models" else []
    for near in get_close_matches(key, known, n=1):
        entry.setdefault(near, value)
