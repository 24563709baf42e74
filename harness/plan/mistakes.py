"""Mistakes of a suite, gathered so that one run reports all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from harness.core.errors import HarnessError, Unavailable

T = TypeVar("T")


WITHOUT_WEIGHTS = "To run what can be run without the missing weights, and see the rest as missing, add --available."


class Mistakes:
    """Mistakes with their places in the suite file, each noted once."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """`known` are the mistakes found while reading."""
        self.found = list(known)
        self.noted = 0
        self.advice = ""
        self._places: dict[str, tuple[str, str]] = {}

    def add(self, where: str, message: object) -> None:
        """Note a mistake."""
        self._note(where, ": ", message)

    def attempt(self, where: str, action: Callable[[], T], joint: str = ": ") -> T | None:
        """The action's result; None, and the mistake noted, when it raises a HarnessError.

        `joint` stands between the place and the message: "." when the message begins with a key below the place.
        """
        try:
            return action()
        except HarnessError as error:
            if isinstance(error, Unavailable):
                self.advice = WITHOUT_WEIGHTS
            self._note(where, joint, error)
            return None

    @property
    def only_in_report(self) -> bool:
        """Whether nothing but tables and claims is wrong, so that all cells are known."""
        return all(mistake.startswith(("tables[", "claims[")) for mistake in self.found)

    @property
    def told(self) -> list[str]:
        """What to tell: what was found, but one mistake in several places as one: "models[1], models[2]: ..."."""
        places: dict[str, list[str]] = {}
        for mistake in self.found:
            where, message = self._places.get(mistake, ("", mistake))
            places.setdefault(message, []).append(where)
        return [", ".join(where) + message for message, where in places.items()]

    def _note(self, where: str, joint: str, message: object) -> None:
        # Counted though it may be known already: who compares counts asks whether anything went wrong.
        self.noted += 1
        mistake = f"{where}{joint}{message}"
        if mistake not in self.found:
            self.found.append(mistake)
            if joint == ": ":
                self._places[mistake] = where, f"{joint}{message}"
