"""What a run says about cells that failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.cells import Cells
from harness.store import Store

if TYPE_CHECKING:
    from harness.executors.outcome import Outcome

TRACEBACK = "\n\nTraceback "
"""What stands between what went wrong and where."""


def failures_in_words(outcome: Outcome, cells: Cells, store: Store) -> Iterator[str]:
    """A paragraph per reason: the cells that failed for it, what went wrong, and where the traceback is kept."""
    named = {cell.id: cell for cell in (*cells.carried, *cells.cells)}
    by_reason: dict[str, list[str]] = {}
    for id, reason in outcome.failures.items():
        by_reason.setdefault(reason.partition(TRACEBACK)[0], []).append(id)
    for said, ids in by_reason.items():
        others = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        traced = TRACEBACK in outcome.failures[ids[0]]
        where = f"\n     traceback: {store.failure_path(ids[0])}" if traced else ""
        yield f"failed: {named[ids[0]].words}{others}: {said}{where}"
