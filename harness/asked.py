"""How a run was asked for, and the command that asks for it again."""

from __future__ import annotations

import shlex

from harness.core.validation import Closed


class Asked(Closed):
    """How the last run was asked for, in so far as it decides what the cells are."""

    path: str
    """The suite as the command names it; suites/<name>.toml for one that is found by name."""
    limit: int | None = None
    """`--limit`."""
    seed: int | None = None
    """`--seed`."""
    overrides: list[str] = []
    """`--set`."""
    random_weights: bool = False
    """`--random-weights`."""
    available: bool = False
    """`--available`."""
    content: str = ""
    """sha256 of what the suite's file said, but for what reports are made of; empty in older runs."""

    @property
    def command(self) -> str:
        """The command that asks for it again."""
        numbers = [("--limit", self.limit), ("--seed", self.seed)]
        options = [part for option, value in numbers if value is not None for part in (option, str(value))]
        options += [part for override in self.overrides for part in ("--set", override)]
        switches = [("--random-weights", self.random_weights), ("--available", self.available)]
        return shlex.join(["harness", "run", self.path, *options, *(option for option, given in switches if given)])


def run_of(suite: str) -> str:
    """The command that runs a suite of which only the name is known."""
    return Asked(path=f"suites/{suite}.toml").command
