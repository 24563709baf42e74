"""The sentences below a table of a paper: what is missing of it, what it counts, and what is not as in the paper."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.cell_facets import model_label
from harness.report.evidence import Evidence
from harness.report.table import Table
from harness.report.words import GAIN, NOT_APPLICABLE


def reprint_notes(table: Table, evidence: Evidence) -> Iterator[str]:
    """What to know about the suite's values in a printed table."""
    entries = list(table.entries)
    lacking = sum(entry.missing == "not in the suite" for entry in entries)
    if lacking:
        of = f"{lacking} of {len(entries)} numbers"
        yield f"{NOT_APPLICABLE}: printed in the paper, no part of {evidence.cells.whose} ({of})."
    if table.metric == GAIN:
        yield (
            "Relative gain: 100 (B - P) / P of the robust accuracies with the statistics of the batch (B) and with "
            "running ones (P). Its interval is the normal one of the delta method over images, which count for both."
        )
    if table.metric == "attack_success_rate":
        own = "as here" if table.denominator == "all" else "which this table does not"
        yield f"The paper most likely counts all attacked images, those that are wrong when clean included, {own}."
    yield from _otherwise(table, evidence)


def _otherwise(table: Table, evidence: Evidence) -> Iterator[str]:
    """What the suite says about how its models, attacks and data differ from the paper's."""
    cells, runs = evidence.cells, table.runs
    models = {name for run in runs for name in (run.cell.surrogate, run.cell.target)}
    attacks, datasets = {run.cell.attack for run in runs}, {run.cell.dataset for run in runs}
    threats = {run.cell.threat for run in runs}
    notes: dict[str, dict[str, None]] = {}
    for label, paper in (
        *((model_label(entry), entry.paper) for entry in cells.models if entry.name in models),
        *((entry.label, entry.paper) for entry in cells.attacks if entry.label in attacks),
        *((entry.label, entry.paper) for entry in cells.threats if entry.label in threats),
        *((entry.label, entry.paper) for entry in cells.datasets if entry.label in datasets),
    ):
        if "note" in paper:
            notes.setdefault(paper["note"], {})[label] = None
    if notes:
        each = (f"{', '.join(labels)}: {note}" for note, labels in notes.items())
        yield f"Not as in the paper: {'; '.join(each)}."
