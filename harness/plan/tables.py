"""Mistakes in the tables of a suite, found before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.cells import Cells
from harness.core.errors import HarnessError
from harness.plan.mistakes import Mistakes
from harness.report import check
from harness.report.axes import SUMMARIES, check_table
from harness.report.facets import check_average, free_facets, known_facets, mode_of, require, sections_of
from harness.report.layout import name_of
from harness.report.reprint import resolve_reprint
from harness.spec import Reading, TableSpec


def check_facets(reading: Reading, mistakes: Mistakes) -> None:
    """Note what is wrong with tables as far as the suite file alone can tell, when cells are not known."""
    for position, table in well_named_tables(reading, mistakes):
        if table.reference:
            mistakes.attempt(f"tables[{position}]", lambda table=table: resolve_reprint(table))  # type: ignore[misc]
        elif reading.facts_known or not any("facts." in facet for facet in (*table.rows, *table.columns, *table.where)):
            mistakes.attempt(f"tables[{position}]", lambda table=table: check_table(table, reading.suite))  # type: ignore[misc]


def check_tables(reading: Reading, cells: Cells, mistakes: Mistakes) -> None:
    """Note everything that is wrong with tables."""
    suite, before = reading.suite, len(mistakes.found)
    for position, table in well_named_tables(reading, mistakes):
        for problem in check(suite.model_copy(update={"tables": [table]}), cells):
            mistakes.add(f"tables[{position}]", problem.removeprefix(f'table "{table.name}": '))
    if len(mistakes.found) == before:
        # What is wrong between tables, such as two of one name.
        every = [table for _, table in readable_tables(reading)]
        for problem in check(suite.model_copy(update={"tables": every}), cells):
            mistakes.add("tables", problem)


def well_named_tables(reading: Reading, mistakes: Mistakes) -> list[tuple[int, TableSpec]]:
    """The tables that could be read and name known facets only; every unknown one is noted, of the others too."""
    strange = set()
    for position, table in enumerate(reading.suite.tables):
        # A printed table brings its own facets, and its filters are looked at with them.
        for problem in () if table.reference else strangers(table, reading, ("tables", position) in reading.unread):
            mistakes.add(f"tables[{position}]", problem)
            strange.add(position)
    return [(position, table) for position, table in readable_tables(reading) if position not in strange]


def strangers(table: TableSpec, reading: Reading, unread: bool) -> Iterator[str]:
    """What is wrong with each facet that a table names; of one that could not be read, only what is wrong in all."""
    suite, axes = reading.suite, [facet for facet in (*table.rows, *table.columns) if facet not in SUMMARIES]
    try:
        mode = "whitebox" if unread else mode_of(table, axes, sections_of(suite))
    except HarnessError:
        # Which cells it is about is the first thing to be settled.
        return
    known = known_facets(mode, free_facets(suite))
    for facet in dict.fromkeys((*axes, *table.where)):
        if reading.facts_known or "facts." not in facet:
            yield from _refusal(lambda facet=facet: require(facet, known, SUMMARIES if facet in table.columns else ()))  # type: ignore[misc]
    for facet in table.average:
        yield from _refusal(lambda facet=facet: check_average([facet], axes, known))  # type: ignore[misc]


def _refusal(check: Callable[[], None]) -> Iterator[str]:
    try:
        check()
    except HarnessError as error:
        yield str(error)


def readable_tables(reading: Reading) -> list[tuple[int, TableSpec]]:
    """The tables that could be read, with their positions and the names that these give them."""
    return [
        (position, table.model_copy(update={"name": name_of(table, position + 1)}))
        for position, table in enumerate(reading.suite.tables)
        if ("tables", position) not in reading.unread
    ]
