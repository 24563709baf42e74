"""Tables as JSON: the table as printed, with the records behind every entry."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from harness.report.formats import FORMATS, Format
from harness.report.table import Entry, Row, Table


def json_text(table: Table) -> str:
    """Structure and entries of a table; rates are shares, not percentages."""
    content: dict[str, Any] = {
        "name": table.name,
        "title": table.title,
        "metric": table.metric,
        "denominator": table.denominator,
        "datasets": list(dict.fromkeys(run.cell.dataset for run in table.runs)),
        "row_headers": table.row_headers,
        "column_headers": table.column_headers,
        "columns": table.columns,
        "rows": [
            {**_heading(row), "header": row.header, "entries": [_place(entry, table) for entry in row.entries]}
            for row in table.rows
        ],
        "notes": table.notes,
        "flags": [asdict(raised) for raised in table.flags],
    }
    if table.reference:
        content["reference"] = table.reference
    if table.against:
        content["against_paper"] = asdict(table.against)
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _heading(row: Row) -> dict[str, Any]:
    return {"heading": row.heading} if row.heading else {}


def _place(entry: Entry, table: Table) -> dict[str, Any]:
    """A number with the paper's where the table shows it, and the further numbers of its place."""
    further = [_place(replace(part, joined=()), table) for part in entry.joined]
    printed = _printed(entry) if table.against else {}
    return {**_entry(entry), **printed, **({"joined": further} if further else {})}


def _printed(entry: Entry) -> dict[str, Any]:
    if entry.printed is None:
        return {}
    value, difference = entry.printed.value, entry.difference
    paper = {"printed": entry.printed.text, "value": value.share, "note": value.note}
    return {"paper": paper, "difference": None if difference is None else round(difference / 100, 6)}


def _entry(entry: Entry) -> dict[str, Any]:
    comparison = {"comparison": entry.comparison} if entry.comparison else {}
    if entry.estimate is None:
        return {**comparison, "missing": entry.missing, "records": [run.cell.id for run in entry.runs]}
    return {
        **comparison,
        "metric": entry.metric,
        **{key: None if value != value else value for key, value in entry.estimate._asdict().items()},
        "spread": entry.spread,
        "incomplete": entry.incomplete,
        "records": [run.cell.id for run in entry.runs],
        **({} if entry.best is None else {"best": entry.best}),
    }


FORMATS.add("json", Format(".json", json_text))
