"""One report of several suites: the printed tables of papers that they fill together, and the papers' claims.

A number is of one suite, or of several that have the same records of it. Their own tables and claims stay in their own
reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.cells import Cell, Cells
from harness.core.errors import HarnessError
from harness.papers import PrintedValue
from harness.papers.values import AVERAGE
from harness.report.compare import compared
from harness.report.filling import fill
from harness.report.joint_claims import claims_of
from harness.report.joint_notes import joint_notes
from harness.report.joint_page import closing, opening
from harness.report.joint_suites import Joint
from harness.report.merging import told_apart
from harness.report.render import Report
from harness.report.reprint import Reprint, bind, resolve_reprint
from harness.report.table import Table
from harness.spec import Suite, TableSpec
from harness.store import Store

Bound = Mapping[PrintedValue, tuple[Cell, ...]]
"""The cells of printed numbers."""


def render_joint(suites: Sequence[Suite], cells: Mapping[str, Cells], store: Store, command: str) -> Report:
    """Make the tables of papers that suites print, each once and filled from all of them, and judge the papers' claims.

    Args:
        suites: what was asked for.
        cells: by suite, as their last plans resolved them; suites that were never run are not in it.
        store: where the records are.
        command: what makes the report again, as the page prints it.

    Raises:
        HarnessError: when a suite has no table of a paper, none was run, a table or claim does not fit a suite, suites
            ask for one thing differently, or have different records of one number.
    """
    parts = dict(zip(cells, told_apart(list(cells.values())), strict=True))
    joint = Joint(cells, parts, tuple(suites), store)
    for suite in suites:
        if not any(table.reference for table in suite.tables):
            raise HarnessError(
                f"suite {suite.name} has no table of a paper, and so nothing to join.\n"
                "     leave it out, or report it alone"
            )
    tables = [
        _table(reference, used, joint)
        for reference, used in joint.printed.items()
        if any(suite.name in joint.parts for suite, _ in used)
    ]
    if not tables:
        names = ", ".join(suite.name for suite in suites)
        raise HarnessError(
            f"none of the suites {names} was ever run with the store {store.path}.\n"
            "     run one of them, or name its store with --store"
        )
    evidences = {name: joint.evidence([name]) for name in joint.parts}
    return Report(
        suite=joint_name([table.reference for table in tables]),
        suites=tuple(suite.name for suite in suites),
        tables=tuple(tables),
        opening=opening(suites, tables, evidences),
        closing=closing(suites, tables, evidences, command),
        claims=tuple(claims_of(joint)),
        comparisons=tuple(compared(table) for table in tables),
    )


def joint_name(references: Sequence[str]) -> str:
    """What the folder of a joint report is called: "benz2021-1", or "benz2021-4-12" for several tables."""
    papers: dict[str, list[str]] = {}
    for reference in references:
        paper, _, table = reference.partition("/")
        papers.setdefault(paper, []).append(table)
    return "_".join("-".join([paper, *numbers]) for paper, numbers in papers.items())


def _table(reference: str, used: Sequence[tuple[Suite, TableSpec]], joint: Joint) -> Table:
    layouts = [resolve_reprint(spec) for _, spec in used]
    layout = _common_layout(reference, layouts, [suite.name for suite, _ in used])
    bound = {
        (suite.name, number): _bound(suite.name, own, joint)
        for number, ((suite, _), own) in enumerate(zip(used, layouts, strict=True))
        if suite.name in joint.parts
    }
    _refuse_strangers(layout, list(bound.values()))
    names = list(dict.fromkeys(name for name, _ in bound))
    table = fill(layout, joint.evidence(names), defaultdict(tuple, _one_source(layout, bound)))
    absent = [name for name in dict.fromkeys(suite.name for suite, _ in used) if name not in joint.parts]
    notes = joint_notes(table, {name: joint.evidence([name]) for name in names}, absent)
    return replace(table, notes=(*table.notes, *notes))


def _common_layout(reference: str, layouts: Sequence[Reprint], suites: Sequence[str]) -> Reprint:
    """The rows that any suite asks for; title and name of the suites if they agree."""
    common = resolve_reprint(TableSpec(reference=reference))
    first, wanted = layouts[0], {row.row for layout in layouts for row in layout.rows}
    for layout, suite in zip(layouts, suites, strict=True):
        if layout.denominator != first.denominator:
            raise HarnessError(
                f"{common.place}: {suites[0]} counts denominator = {first.denominator!r}, {suite} "
                f"{layout.denominator!r}.\n     make them agree, or report one of them alone"
            )
    alike = len({layout.title for layout in layouts}) == 1
    return replace(
        common,
        title=first.title if alike else common.title,
        rows=tuple(row for row in common.rows if row.row in wanted),
        denominator=first.denominator,
    )


def _bound(suite: str, layout: Reprint, joint: Joint) -> Bound:
    """What a suite's own report prints of a table, under the names of the joint one."""
    try:
        found = bind(layout, joint.own[suite])
    except HarnessError as error:
        raise HarnessError(f"suite {suite}: {error}") from None
    renamed = dict(zip(joint.own[suite].cells, joint.parts[suite].cells, strict=True))
    return {value: tuple(renamed[cell] for cell in cells) for value, cells in found.items()}


def _one_source(
    layout: Reprint, bounds: Mapping[tuple[str, int], Bound]
) -> Iterator[tuple[PrintedValue, tuple[Cell, ...]]]:
    """The cells of every number, or of what it is made of, which are the same in all suites that have any."""
    for value in dict.fromkeys(value for bound in bounds.values() for value in bound):
        having = {name: cells for (name, _), bound in bounds.items() if (cells := bound.get(value))}
        if value.target != AVERAGE and len({frozenset(cell.id for cell in cells) for cells in having.values()}) > 1:
            raise HarnessError(
                f"{layout.place}: row {value.row}: {' and '.join(having)} have different records of one number "
                f"({_words(value)}).\n     leave one of them out"
            )
        yield value, next(iter(having.values()), ())


def _refuse_strangers(layout: Reprint, bounds: Sequence[Bound]) -> None:
    """Raise HarnessError for a number that is made of others which no suite has all, and which are of other images."""
    for value in layout.values:
        if any(all(bound.get(one) for one in value.operands) for bound in bounds):
            continue
        parts = [cells for one in value.operands for bound in bounds if (cells := bound.get(one))]
        datasets = sorted({cell.dataset for cells in parts for cell in cells})
        if len(value.operands) > 1 and len(datasets) > 1:
            raise HarnessError(
                f"{layout.place}: row {value.row} would compare different images: {' and '.join(datasets)}.\n"
                "     run what it compares in one suite, or leave one of them out"
            )


def _words(value: PrintedValue) -> str:
    keys = ("dataset", "arch", "norm", "training", "attack", "target", "metric")
    return ", ".join(str(getattr(value, key)) for key in keys if getattr(value, key))
