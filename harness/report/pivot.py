"""Records and a table specification to a table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from harness.cells import Cell
from harness.metrics.estimate import mean_over
from harness.report.arrange import Arrangement, Key, arrange, header_texts
from harness.report.cell_facets import CellFacets
from harness.report.evidence import Evidence
from harness.report.facets import MEAN
from harness.report.layout import Layout
from harness.report.measure import measure
from harness.report.notes import notes_of
from harness.report.table import BLANK, Entry, Missing, Row, Run, Table

REASONS: tuple[Missing, ...] = ("failed", "not run", "undefined")
"""Why an entry is missing, the first that applies to one of its runs."""


def pivot(layout: Layout, evidence: Evidence) -> Table:
    """Measure every cell of a table and put it in its place.

    Raises:
        HarnessError: when the layout does not fit the suite's cells.
    """
    arrangement = arrange(layout, evidence.cells)
    facets = CellFacets(evidence.cells, layout.mode)

    def measured(cell: Cell, metric: str) -> Run:
        return _run(cell, metric, layout, facets, evidence)

    rows = tuple(_row(key, arrangement, layout, measured) for key in arrangement.rows)
    columns = [header_texts(layout, key) for key in arrangement.columns]
    if layout.mean:
        columns.append((layout.headers.get(MEAN, "Mean"), *[""] * (len(layout.columns) - 1)))
    table = Table(
        name=layout.name,
        title=layout.title,
        metric=layout.value,
        denominator=layout.denominator,
        row_headers=tuple(map(layout.facet_header, layout.rows)),
        column_headers=tuple(map(layout.facet_header, layout.columns)),
        columns=tuple(columns),
        rows=rows,
    )
    return notes_of(table, evidence)


def entry_of(runs: Iterable[Run], metric: str) -> Entry:
    """The mean over the finished runs of one place, with its spread."""
    runs = tuple(runs)
    finished = [run.estimate for run in runs if run.estimate]
    if not finished:
        reasons = {run.missing for run in runs}
        return Entry(metric, None, runs=runs, missing=next(reason for reason in REASONS if reason in reasons))
    spread = statistics.stdev(estimate.value for estimate in finished) if len(finished) > 1 else None
    return Entry(metric, mean_over(finished), spread, runs, incomplete=len(finished) < len(runs))


def mean_entry(entries: Iterable[Entry], metric: str) -> Entry:
    """The mean of a row; missing as soon as one of its entries is, because a mean over fewer compares with nothing."""
    planned = [entry for entry in entries if entry.missing != "not planned"]
    finished = [entry.estimate for entry in planned if entry.estimate]
    if not planned:
        return BLANK
    if len(finished) < len(planned):
        reasons = {entry.missing for entry in planned}
        return Entry(metric, None, missing=next(reason for reason in REASONS if reason in reasons))
    return Entry(metric, mean_over(finished), incomplete=any(entry.incomplete for entry in planned))


def _row(row: Key, arrangement: Arrangement, layout: Layout, measured: Callable[[Cell, str], Run]) -> Row:
    entries = []
    for column in arrangement.columns:
        cells = arrangement.cells.get((row, column), ())
        clean = arrangement.is_clean(row) or arrangement.is_clean(column)
        metric = "clean_accuracy" if clean else layout.value
        entries.append(entry_of((measured(cell, metric) for cell in cells), metric) if cells else BLANK)
    if layout.mean:
        clean_row = arrangement.is_clean(row)
        attacked = [
            entry for entry, column in zip(entries, arrangement.columns, strict=True)
            if clean_row or not arrangement.is_clean(column)
        ]  # fmt: skip
        entries.append(mean_entry(attacked, "clean_accuracy" if clean_row else layout.value))
    return Row(header_texts(layout, row), tuple(entries))


def _run(cell: Cell, metric: str, layout: Layout, facets: CellFacets, evidence: Evidence) -> Run:
    data = next(entry for entry in evidence.cells.datasets if entry.label == cell.dataset)
    shown = [f for f in layout.rows + layout.columns if cell.mode != "clean" or not facets.of_attacks(f)]
    estimate, missing, detail = measure(cell, metric, layout.denominator, data, evidence)
    return Run(cell, {facet: facets.text(facet, cell) for facet in shown}, metric, estimate, missing, detail)
