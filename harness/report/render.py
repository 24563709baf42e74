"""A suite's cells and the store to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.cells import Cells
from harness.core.errors import HarnessError
from harness.report.arrange import arrange
from harness.report.claim_texts import claims_section
from harness.report.claims import Claim, judge
from harness.report.compare import SUFFIX, compared
from harness.report.evidence import Evidence
from harness.report.filling import reprint
from harness.report.layout import Layout, default_tables, resolve
from harness.report.page import closing, finished, opening, section
from harness.report.pairing import check_names
from harness.report.pivot import pivot
from harness.report.reprint import Reprint, bind, resolve_reprint
from harness.report.table import Table
from harness.spec import Suite, TableSpec
from harness.store import Store


@dataclass(frozen=True)
class Report:
    """Everything that a suite's records say, ready to be printed or written."""

    suite: str
    """The suite's name."""
    tables: tuple[Table, ...]
    """In the order of the suite file."""
    opening: str
    """The page above the tables, in Markdown."""
    closing: str
    """The page below the tables, in Markdown."""
    claims: tuple[Claim, ...] = ()
    """What the suite claims, judged; in the order of the suite file."""
    comparisons: tuple[Table, ...] = ()
    """The tables of papers among the tables, with the papers' numbers beside ours."""
    suites: tuple[str, ...] = ()
    """The suites of a joint report, whose `suite` is then a name for all of them."""

    def page(self, figures: Mapping[str, str] | None = None) -> str:
        """The whole page in Markdown; `figures` maps names of tables to files beside the page."""
        sections = [section(table, (figures or {}).get(table.name)) for table in self.tables]
        claims = [claims_section(self.claims)] if self.claims else []
        beside = [section(table, None) for table in self.comparisons]
        compared = ["## Beside the papers' numbers", "", *beside] if beside else []
        return "\n".join([self.opening, "## Tables", "", *sections, *compared, *claims, self.closing]).rstrip() + "\n"


def render(suite: Suite, cells: Cells, store: Store, command: str | None = None) -> Report:
    """Make a suite's tables, claims and page from its records; what is missing shows as missing.

    Args:
        suite: what was asked for, with its tables.
        cells: the suite's cells, as the last plan resolved them.
        store: where the records are.
        command: what makes the report again, as the page prints it; default that of the last run.

    Raises:
        HarnessError: when a table or claim does not fit the suite, or a record is damaged.
    """
    evidence = Evidence(cells, store)
    check_names(suite.claims, suite.tables)
    tables = [
        reprint(layout, evidence) if isinstance(layout, Reprint) else pivot(layout, evidence)
        for layout in prepare(suite.tables, cells)
    ]
    return Report(
        suite=suite.name,
        tables=tuple(tables),
        opening=opening(suite, evidence, finished(cells, evidence)),
        closing=closing(suite, tables, evidence, command or cells.command),
        claims=tuple(judge(claim, evidence) for claim in suite.claims),
        comparisons=tuple(compared(table) for table in tables if table.reference),
    )


def prepare(tables: Sequence[TableSpec], cells: Cells) -> list[Layout | Reprint]:
    """The suite's tables with every default filled in, or the default ones when it has none.

    Raises:
        HarnessError: for a table that cannot be, or two of one name.
    """
    prepared = [_resolve(table, cells, number) for number, table in enumerate(tables or default_tables(cells), 1)]
    names = [layout.name for layout in prepared]
    names += [layout.name + SUFFIX for layout in prepared if isinstance(layout, Reprint)]
    for layout in prepared:
        if names.count(layout.name) > 1:
            raise HarnessError(f"{layout.place}: two tables have this name.\n     give each its own `name`")
    return prepared


def _resolve(table: TableSpec, cells: Cells, number: int) -> Layout | Reprint:
    return resolve_reprint(table, number) if table.reference else resolve(table, cells, number)


def check(suite: Suite, cells: Cells) -> list[str]:
    """Every mistake in a suite's tables, as sentences; needs no record, so that it can be asked before a run."""
    problems = []
    for number, table in enumerate(suite.tables, 1):
        try:
            layout = _resolve(table, cells, number)
            if isinstance(layout, Reprint):
                bind(layout, cells)
            else:
                arrange(layout, cells)
        except HarnessError as error:
            problems.append(str(error))
    if not problems:
        try:
            prepare(suite.tables, cells)
        except HarnessError as error:
            problems.append(str(error))
    return problems
