"""Records and a table specification to a table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from harness.cells import Cell
from harness.metrics.agreement import verdicts
from harness.metrics.averages import average, scores
from harness.metrics.estimate import mean_over
from harness.report.arrange import Arrangement, Key, arrange, header_texts
from harness.report.axes import SUMMARIES
from harness.report.best import mark_best
from harness.report.cell_facets import CellFacets
from harness.report.evidence import Evidence
from harness.report.layout import Layout
from harness.report.measure import counted_outcomes, measure
from harness.report.notes import notes_of
from harness.report.relation import MEANS_OVER
from harness.report.summaries import missing_of, summary_of
from harness.report.table import BLANK, Entry, Row, Run, Table
from harness.report.words import MEANS


class Measuring(NamedTuple):
    """Measures the cells of one table."""

    layout: Layout
    """What the table asks for."""
    facets: CellFacets
    """What its cells are called."""
    evidence: Evidence
    """Their records."""

    def run(self, cell: Cell, metric: str) -> Run:
        """A cell with what was measured on it."""
        layout, facets = self.layout, self.facets
        shown = [f for f in layout.rows + layout.columns if cell.mode != "clean" or not facets.of_attacks(f)]
        estimate, missing, detail = measure(cell, metric, layout.denominator, self.evidence.data(cell), self.evidence)
        return Run(cell, {facet: facets.text(facet, cell) for facet in shown}, metric, estimate, missing, detail)

    def judge(self, cell: Cell, metric: str) -> pd.Series[bool]:
        """The verdicts on the images of a finished cell that count."""
        return verdicts(self.counted(cell, metric), metric)

    def entry(self, runs: Iterable[Run], metric: str) -> Entry:
        """What stands at a place with these runs: the mean over seeds and trainings, or over what the table averages.

        A mean over other cells is missing as soon as one of them is: over fewer it would compare with nothing.
        """
        runs = tuple(runs)
        if not self.layout.average or len(runs) == 1:
            return entry_of(runs, metric)
        if missing := missing_of(runs):
            return Entry(metric, None, runs=runs, missing=missing)
        scored = [scores(self.counted(run.cell, metric), metric) for run in runs]
        return Entry(metric, average(scored, rates=metric not in MEANS), runs=runs)

    def summary(self, name: str, entries: Sequence[Entry], metric: str) -> Entry:
        """What sums up the entries of a row; a mean over part of them counts their runs of the relations it names."""
        if name in MEANS_OVER:
            entries = [self._confined(entry, MEANS_OVER[name], metric) for entry in entries]
        return summary_of(name, entries, metric, self.judge)

    def _confined(self, entry: Entry, relations: Sequence[str], metric: str) -> Entry:
        runs = [run for run in entry.runs if self.facets.text("relation", run.cell) in relations]
        return entry if len(runs) == len(entry.runs) else self.entry(runs, metric) if runs else BLANK

    def counted(self, cell: Cell, metric: str) -> pd.DataFrame:
        """The samples of a finished cell that count."""
        counted = counted_outcomes(cell, metric, self.layout.denominator, self.evidence.data(cell), self.evidence)
        assert isinstance(counted, pd.DataFrame), "only cells with an estimate are asked for their samples"
        return counted


def pivot(layout: Layout, evidence: Evidence) -> Table:
    """Measure every cell of a table and put it in its place.

    Raises:
        HarnessError: when the layout does not fit the suite's cells.
    """
    arrangement = arrange(layout, evidence.cells)
    measuring = Measuring(layout, CellFacets(evidence.cells, layout.mode), evidence)
    columns = [header_texts(layout, key) for key in arrangement.columns]
    inner = [""] * (len(layout.columns) - 1)
    columns += [(layout.headers.get(name, SUMMARIES[name]), *inner) for name in layout.summaries]
    rows = [_row(key, arrangement, measuring) for key in arrangement.rows]
    table = Table(
        name=layout.name,
        title=layout.title,
        metric=layout.value,
        denominator=layout.denominator,
        row_headers=tuple(map(layout.facet_header, layout.rows)),
        column_headers=tuple(map(layout.facet_header, layout.columns)),
        columns=tuple(columns),
        rows=mark_best(rows, arrangement, layout, measuring.counted),
        average=layout.average,
        best=layout.best,
        among=tuple(map(layout.facet_header, layout.among)),
    )
    return notes_of(table, evidence)


def entry_of(runs: Iterable[Run], metric: str) -> Entry:
    """The mean over the finished runs of one place, with its spread."""
    runs = tuple(runs)
    finished = [run.estimate for run in runs if run.estimate]
    if not finished:
        return Entry(metric, None, runs=runs, missing=missing_of(runs))
    spread = statistics.stdev(estimate.value for estimate in finished) if len(finished) > 1 else None
    return Entry(metric, mean_over(finished), spread, runs, incomplete=len(finished) < len(runs))


def _row(row: Key, arrangement: Arrangement, measuring: Measuring) -> Row:
    layout, entries = measuring.layout, []
    for column in arrangement.columns:
        cells = arrangement.cells.get((row, column), ())
        clean = arrangement.is_clean(row) or arrangement.is_clean(column)
        metric = "clean_accuracy" if clean else layout.value
        entries.append(measuring.entry((measuring.run(cell, metric) for cell in cells), metric) if cells else BLANK)
    clean_row = arrangement.is_clean(row)
    metric = "clean_accuracy" if clean_row else layout.value
    attacked = [
        entry for entry, column in zip(entries, arrangement.columns, strict=True)
        if clean_row or not arrangement.is_clean(column)
    ]  # fmt: skip
    entries += [measuring.summary(name, attacked, metric) for name in layout.summaries]
    return Row(header_texts(layout, row), tuple(entries))
