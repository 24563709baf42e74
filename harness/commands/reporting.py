"""`harness report`: what the records of one suite, or of several, say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cells import Cells, cells_path, read_cells
from harness.commands.console import counted, print_json, stderr, stdout
from harness.commands.overriding import changed_since, check_overrides
from harness.core.errors import HarnessError
from harness.report import FORMATS, Report, Table, render, write
from harness.report.claim_files import claim_content
from harness.report.claim_texts import terminal_claims
from harness.report.joint import render_joint
from harness.report.terminal import terminal
from harness.spec import Suite, load_suite
from harness.store import Store

SHORT_NAMES = {"md": "markdown", "tex": "latex"}
"""Formats by what their files end with."""


def report(
    suites: Sequence[str],
    *,
    overrides: Sequence[str],
    store: str | None,
    out: str | None,
    formats: str,
    figures: bool,
    claims: bool,
    compare: bool,
    as_json: bool,
) -> int:
    """Render the tables and claims of a suite, or those of papers that several fill.

    Returns 1 when cells are missing, or when a suite was changed since its last run.
    Overrides are applied to every suite.
    """
    specs, records = [load_suite(suite, overrides) for suite in suites], Store(store)
    chosen = [SHORT_NAMES.get(name.strip(), name.strip()) for name in formats.split(",") if name.strip()]
    for name in chosen:
        FORMATS.get(name)
    one = specs[0].name if len(specs) == 1 else ""
    cells = {one: read_cells(records, one)} if one else _cells_by_suite(specs, records)
    check_overrides(overrides, cells.values())
    if one:
        made = render(specs[0], cells[one], records)
    else:
        made = render_joint(specs, cells, records, f"harness report {' '.join(spec.name for spec in specs)}")
    if compare:
        show_comparisons_with_papers(made, as_json)
    else:
        show(made, as_json, only_claims=claims)
    files = write_files(made, Path(out) if out else Path("reports") / made.suite, chosen, figures=figures)
    stderr().print(f"written: {', '.join(str(file) for file in files)}")
    changes = [
        changed_since(suite, cells[spec.name]) for suite, spec in zip(suites, specs, strict=True) if spec.name in cells
    ]
    for change in filter(None, changes):
        stderr().print(change, style="yellow")
    return max(_say_what_is_missing(specs, cells, records), int(any(changes)))


def _cells_by_suite(specs: Sequence[Suite], records: Store) -> dict[str, Cells]:
    """The cells of those suites that were ever planned with a store. Raises HarnessError for a suite named twice."""
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise HarnessError(f"suite {name} is named twice.\n     name each suite once")
    return {name: read_cells(records, name) for name in names if cells_path(records, name).exists()}


def _say_what_is_missing(specs: Sequence[Suite], cells: dict[str, Cells], records: Store) -> int:
    """Tell what has no record; returns 1 when there is something."""
    never = [spec.name for spec in specs if spec.name not in cells]
    missing = sum(len(own.missing(records)) for own in cells.values())
    if missing:
        planned = sum(len(own.cells) for own in cells.values())
        commands = "".join(f"\n     {own.command}" for own in cells.values() if own.missing(records))
        stderr().print(f"{counted(missing)} of {planned} without a record; to compute what is missing:{commands}")
    if never:
        stderr().print(f"never run with the store {records.path}: {', '.join(never)}")
    return int(bool(missing or never))


def show(made: Report, as_json: bool, only_claims: bool = False) -> None:
    """Print a report's tables and claims, or its claims alone."""
    if as_json:
        tables = [json.loads(FORMATS.get("json").text(table)) for table in made.tables]
        claims = [claim_content(claim) for claim in made.claims]
        print_json({**_whose(made), **({} if only_claims else {"tables": tables}), "claims": claims})
        return
    show_tables(() if only_claims else made.tables)
    if made.claims:
        console = stdout()
        console.print(terminal_claims(made.claims, console.width), crop=False)
        console.print()
    elif only_claims:
        whose = f"suites {', '.join(made.suites)} make" if made.suites else f"suite {made.suite} makes"
        stderr().print(f"{whose} no claims; they are written [[claims]]")


def show_comparisons_with_papers(made: Report, as_json: bool) -> None:
    """Print a report's tables of papers with the papers' numbers beside ours."""
    if as_json:
        tables = [json.loads(FORMATS.get("json").text(table)) for table in made.comparisons]
        print_json({**_whose(made), "comparisons": tables})
    elif not made.comparisons:
        stderr().print(f'suite {made.suite} has no table of a paper; it is written reference = "benz2021/4"')
    else:
        show_tables(made.comparisons)


def _whose(made: Report) -> dict[str, Any]:
    """Whose report it is, for JSON."""
    return {"suites": list(made.suites)} if made.suites else {"suite": made.suite}


def show_tables(tables: Sequence[Table]) -> None:
    """Print tables for the terminal."""
    console = stdout()
    for table in tables:
        console.print(terminal(table, console.width), crop=False)
        console.print()


def write_files(
    made: Report, directory: Path, formats: Sequence[str] | None = None, *, figures: bool = False
) -> list[Path]:
    """Write a report. Raises HarnessError when its directory cannot be written to."""
    try:
        return write(made, directory, formats, figures=figures)
    except OSError as error:
        raise HarnessError(
            f"tables cannot be written to {directory}: {error.strerror}.\n     name another directory with --out"
        ) from None
