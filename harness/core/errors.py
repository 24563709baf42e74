"""Errors that a user can fix.

A `HarnessError` prints without a traceback and ends the command with its exit code; every other exception is a
defect of ours and keeps its traceback. `Problems` gathers several mistakes, so that one run reports all of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import accumulate

ROOM = 400
"""Characters that a line of known names may take."""


class HarnessError(Exception):
    """Something the user can fix. The message says what, where, and how to fix it."""

    exit_code = 2


class ThreatModelViolation(HarnessError):  # noqa: N818 - what happened, not what went wrong
    """An attack returned an image outside its threat model; such a record is never stored as a result."""

    exit_code = 4


class Unavailable(HarnessError):  # noqa: N818 - nothing is wrong with what was asked for
    """Weights that are not on this machine and cannot be had from here."""


class Problems(HarnessError):  # noqa: N818 - it is several errors
    """Several mistakes found together, one paragraph each."""

    def __init__(
        self, where: str, problems: Iterable[str], consequence: str = "nothing was run", *, advice: str = ""
    ) -> None:
        """`where` is the file they were found in; `problems` are complete sentences; `advice` concerns them all."""
        self.problems = list(problems)
        count = len(self.problems)
        head = f"{where}: {count} mistake{'s' if count > 1 else ''}, {consequence}."
        numbered = (f"\n  {i}. {problem}" for i, problem in enumerate(self.problems, 1))
        super().__init__("\n".join([head, *numbered, *([f"\n{advice}"] if advice else [])]))


def in_one_line(error: BaseException) -> str:
    """An error's first line; its kind, when it says nothing."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def did_you_mean(word: str, known: Iterable[str], limit: int = 3) -> str:
    """A line of suggestions for a misspelt word: the nearest known names, or else as many as a line holds."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    near = [lowered[match] for match in difflib.get_close_matches(word.lower(), list(lowered), n=limit, cutoff=0.6)]
    if near:
        return "did you mean: " + ", ".join(near) + "?"
    shown = sum(length <= ROOM for length in accumulate(len(name) + len(", ") for name in names))
    more = f" and {len(names) - shown} more" if shown < len(names) else ""
    return "known: " + (", ".join(names[:shown]) + more if names else "none")
