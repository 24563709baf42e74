"""The report page of several suites: for each of them what was run and its models, the tables once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.asked import run_of
from harness.papers import printed_table
from harness.report.evidence import Evidence
from harness.report.markdown import Markup, bullets, pipes, plain
from harness.report.page import finished, legend, models_table, what_was_run
from harness.report.table import Table
from harness.spec import Suite


def opening(suites: Sequence[Suite], tables: Sequence[Table], evidences: Mapping[str, Evidence]) -> str:
    """Title, the suites, and what each of them ran and says about itself; those never run are not in `evidences`."""
    citations = [printed_table(table.reference).citation for table in tables]
    overview = [[Markup(f"`{suite.name}`"), suite.title or "", *_counts(evidences.get(suite.name))] for suite in suites]
    lines = [f"# {plain('; '.join(citations))}", "", "Filled from the last runs of several suites.", ""]
    lines += [
        pipes(["Suite", "Title", "Cells planned", "Finished"], overview, numbers_from=2),
        "",
        "## What was run",
        "",
    ]
    for suite in suites:
        if suite.name in evidences:
            notes = [suite.notes.strip(), ""] if suite.notes else []
            lines += [f"### `{suite.name}`", "", *what_was_run(evidences[suite.name]), *notes]
    return "\n".join(lines)


def closing(suites: Sequence[Suite], tables: list[Table], evidences: Mapping[str, Evidence], command: str) -> str:
    """How to read the numbers, the models of each suite, and the commands that make the report again."""
    lines = ["## How to read the numbers", "", bullets(list(legend(tables))), "## Models", ""]
    for name, evidence in evidences.items():
        lines += [f"### `{name}`", "", models_table(evidence), ""]
    runs = [evidences[suite.name].cells.command if suite.name in evidences else run_of(suite.name) for suite in suites]
    commands = [*runs, command]
    return "\n".join([*lines, "## Make it again", "", *(f"    {one}" for one in commands), ""])


def _counts(evidence: Evidence | None) -> list[str]:
    if evidence is None:
        return ["never run", ""]
    return [str(len({cell.id for cell in evidence.cells.cells})), str(finished(evidence.cells, evidence))]
