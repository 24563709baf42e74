"""Whether what was run is what is asked to be shown: reports and checks run nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.cells import Cells
from harness.core.errors import HarnessError
from harness.spec import SHOWN, content_sha256, load_suite


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


def changed_since(suite: str, cells: Cells) -> str:
    """In a sentence, that a suite's file says something else than when it was last run; empty if it does not.

    Args:
        suite: as the command names it.
        cells: of its last run.
    """
    if not cells.asked or not cells.asked.content:
        return ""
    try:
        same = content_sha256(load_suite(suite, cells.asked.overrides)) == cells.asked.content
    except HarnessError:  # what was set in that run is no longer there
        same = False
    if same:
        return ""
    return (
        f"suite {cells.suite} is another one than when it was last run ({cells.command}), whose records these are.\n"
        f"     harness run {suite} brings them up to date; what is stored is not computed again"
    )
