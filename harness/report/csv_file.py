"""Tables in long form: one line per cell of the plan, with everything that identifies it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.report.formats import FORMATS, Format
from harness.report.table import Run, Table

COLUMNS = (
    "table", "dataset", "mode", "attack", "threat", "norm", "epsilon", "seed", "surrogate", "target", "metric",
    "denominator", "value", "low", "high", "n", "status", "record",
)  # fmt: skip
"""Columns of every file; facets of the table that are not among them follow before `metric`."""


def frame(table: Table) -> pd.DataFrame:
    """One line per cell behind a table; `value`, `low`, `high` and `n` are empty where `status` is not "done".

    Rates are shares, not percentages. Models go by their names in the suite file, which are unique; labels and facts
    stand in the columns of the table's own facets.
    """
    runs = table.runs
    extra = dict.fromkeys(facet for run in runs for facet in run.facets if facet not in COLUMNS)
    before = COLUMNS.index("metric")
    columns = [*COLUMNS[:before], *extra, *COLUMNS[before:]]
    return pd.DataFrame([_line(table, run) for run in runs], columns=columns).astype({"n": "Int64"})


def csv(table: Table) -> str:
    """The long form as comma-separated text."""
    return frame(table).to_csv(index=False, lineterminator="\n")


def _line(table: Table, run: Run) -> dict[str, Any]:
    cell, estimate = run.cell, run.estimate
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
        "value": estimate.value if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "n": estimate.n if estimate else None,
        "status": run.missing or "done",
        "record": cell.id,
    }


FORMATS.add("csv", Format(".csv", csv))
