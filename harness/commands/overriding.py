"""`--set` of commands that show what was run: it changes what is shown, not what was run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.cells import Cells
from harness.core.errors import HarnessError

SHOWN = ("name", "title", "paper", "notes", "tables", "claims")
"""What of a suite reports are made of; all else is in the records."""


def check_overrides(overrides: Sequence[str], suites: Iterable[Cells]) -> None:
    """Raise HarnessError for an override that the last run of a suite lacked and that needs another run."""
    for cells in suites:
        asked = cells.asked.overrides if cells.asked else []
        for override in overrides:
            if override not in asked and override.partition("=")[0].split(".")[0].strip() not in SHOWN:
                raise HarnessError(
                    f"--set {override}: the last run of {cells.suite} was without it, and its records stay as they "
                    f"are.\n     run the suite with it, or set one of {', '.join(SHOWN)}"
                )
