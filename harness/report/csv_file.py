"""Tables in long form: one line per cell of the plan, with everything that identifies it, and one per comparison."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.report.formats import FORMATS, Format
from harness.report.table import Entry, Run, Table

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
    """
    runs = table.runs
    extra = dict.fromkeys(facet for run in runs for facet in run.facets if facet not in COLUMNS)
    before = COLUMNS.index("metric")
    columns = [*COLUMNS[:before], *extra, *COLUMNS[before:]]
    lines = [*(_line(table, run) for run in runs), *(_compared(table, entry) for entry in table.comparisons)]
    return pd.DataFrame(lines, columns=columns).astype({"n": "Int64"})


def csv(table: Table) -> str:
    """The long form as comma-separated text."""
    return frame(table).to_csv(index=False, lineterminator="\n")


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
        "denominator": "all" if run.metric == "clean_accuracy" else table.denominator,
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
