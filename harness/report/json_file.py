"""Tables as JSON: the table as printed, with the records behind every entry."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.report.formats import FORMATS, Format
from harness.report.table import Entry, Table


def json_text(table: Table) -> str:
    """Structure and entries of a table; rates are shares, not percentages."""
    content = {
        "name": table.name,
        "title": table.title,
        "metric": table.metric,
        "denominator": table.denominator,
        "datasets": list(dict.fromkeys(run.cell.dataset for run in table.runs)),
        "row_headers": table.row_headers,
        "column_headers": table.column_headers,
        "columns": table.columns,
        "rows": [{"header": row.header, "entries": [_entry(entry) for entry in row.entries]} for row in table.rows],
        "notes": table.notes,
        "flags": [asdict(raised) for raised in table.flags],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


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
    }


FORMATS.add("json", Format(".json", json_text))
