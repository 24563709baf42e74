"""Mistakes in the tables of a suite, found before anything runs."""

from __future__ import annotations

from harness.cells import Cells
from harness.plan.mistakes import Mistakes
from harness.report import check
from harness.report.axes import check_table
from harness.report.layout import name_of
from harness.report.reprint import resolve_reprint
from harness.spec import Reading, TableSpec


def check_facets(reading: Reading, mistakes: Mistakes) -> None:
    """Note what is wrong with tables as far as the suite file alone can tell, when cells are not known."""
    for position, table in readable_tables(reading):
        if table.reference:
            mistakes.attempt(f"tables[{position}]", lambda table=table: resolve_reprint(table))  # type: ignore[misc]
        elif reading.facts_known or not any("facts." in facet for facet in (*table.rows, *table.columns, *table.where)):
            mistakes.attempt(f"tables[{position}]", lambda table=table: check_table(table, reading.suite))  # type: ignore[misc]


def check_tables(reading: Reading, cells: Cells, mistakes: Mistakes) -> None:
    """Note everything that is wrong with tables."""
    suite, before = reading.suite, len(mistakes.found)
    for position, table in readable_tables(reading):
        for problem in check(suite.model_copy(update={"tables": [table]}), cells):
            mistakes.add(f"tables[{position}]", problem.removeprefix(f'table "{table.name}": '))
    if len(mistakes.found) == before:
        # What is wrong between tables, such as two of one name.
        every = [table for _, table in readable_tables(reading)]
        for problem in check(suite.model_copy(update={"tables": every}), cells):
            mistakes.add("tables", problem)


def readable_tables(reading: Reading) -> list[tuple[int, TableSpec]]:
    """The tables that could be read, with their positions and the names that these give them."""
    return [
        (position, table.model_copy(update={"name": name_of(table, position + 1)}))
        for position, table in enumerate(reading.suite.tables)
        if ("tables", position) not in reading.unread
    ]
