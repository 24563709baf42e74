"""Tables in long form: one line per cell of the plan, with everything that identifies it, and one per comparison."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.papers import KEYS
from harness.report.formats import FORMATS, Format
from harness.report.table import Entry, Printed, Row, Run, Table
from harness.report.words import CLEAN_RATES

COLUMNS = (
    "table", "dataset", "mode", "attack", "threat", "norm", "epsilon", "seed", "surrogate", "target", "metric",
    "denominator", "value", "low", "high", "n", "status", "record",
)  # fmt: skip
"""Columns of every file; facets of the table that are not among them follow before `metric`."""


def frame(table: Table) -> pd.DataFrame:
    """One line per cell behind a table; `value`, `low`, `high` and `n` are empty where `status` is not "done".

    A comparison of the entries of a row has a line of its own below, with its name as `metric`. It says what all
    compared cells say; where they differ it is empty, as for `record`. Rates are shares, not percentages. Models go by
    their names in the suite file, which are unique; labels and facts stand in the columns of the table's own facets.
    A table that marks the best of its entries has a last column `best`: whether the cell's entry is among them, empty
    where it has none to be compared with.
    """
    runs = table.runs
    extra = dict.fromkeys(facet for run in runs for facet in run.facets if facet not in COLUMNS)
    before = COLUMNS.index("metric")
    columns = [*COLUMNS[:before], *extra, *COLUMNS[before:], *(["best"] if table.best else [])]
    marked = {(run.cell, run.metric): e.best for e in table.entries if e.best is not None for run in e.runs}
    lines = [{**_line(table, run), "best": marked.get((run.cell, run.metric))} for run in runs]
    lines += [_compared(table, entry) for entry in table.comparisons]
    return pd.DataFrame(lines, columns=columns).astype({"n": "Int64", "seed": "Int64"})


def compared_frame(table: Table) -> pd.DataFrame:
    """One line per number that a paper prints, with ours beside it; rates and differences are shares.

    `printed` is the text in the paper, `status` says why ours is missing, `records` are what it was computed from.
    """
    places = [
        (row, column, part)
        for row in table.rows
        for column, entry in zip(table.columns, row.entries, strict=True)
        for part in entry.parts
    ]
    lines = [_beside(table, row, column, part, part.printed) for row, column, part in places if part.printed]
    return pd.DataFrame(lines).astype({"n": "Int64"})


def csv(table: Table) -> str:
    """The long form as comma-separated text."""
    made = compared_frame(table) if table.against else frame(table)
    return made.to_csv(index=False, lineterminator="\n")


def _beside(table: Table, row: Row, column: tuple[str, ...], entry: Entry, printed: Printed) -> dict[str, Any]:
    difference, value = entry.difference, printed.value
    return {
        "table": table.reference,
        "row": value.row,
        "row_header": " ".join(row.header),
        "column": " ".join(filter(None, column)),
        **{key: getattr(value, key) for key in KEYS if key not in ("paper", "table", "metric")},
        "metric": entry.metric,
        "denominator": "all" if entry.metric in CLEAN_RATES else table.denominator,
        **_measured(entry),
        "paper": value.share,
        "difference": None if difference is None else round(difference / 100, 6),
        "printed": printed.text,
        "note": value.note,
        "records": " ".join(run.cell.id for run in entry.runs),
    }


def _compared(table: Table, entry: Entry) -> dict[str, Any]:
    lines = [_line(table, run) for run in entry.runs]
    shared = {key: value for key, value in lines[0].items() if all(line.get(key) == value for line in lines)}
    return {**shared, "metric": entry.comparison, **_measured(entry)}


def _line(table: Table, run: Run) -> dict[str, Any]:
    cell = run.cell
    return {
        **run.facets,
        "table": table.name,
        "dataset": cell.dataset,
        "mode": cell.mode,
        "attack": cell.attack,
        "threat": cell.threat,
        "norm": cell.norm,
        "epsilon": cell.epsilon,
        "seed": cell.seed,
        "surrogate": cell.surrogate,
        "target": cell.target,
        "metric": run.metric,
        "denominator": "all" if run.metric in CLEAN_RATES else table.denominator,
        **_measured(run),
        "record": cell.id,
    }


def _measured(part: Run | Entry) -> dict[str, Any]:
    estimate = part.estimate
    return {
        "value": estimate.value if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "n": estimate.n if estimate else None,
        "status": part.missing or "done",
    }


FORMATS.add("csv", Format(".csv", csv))
