"""Reports: a suite's cells and the store to tables, judged claims, files and a page. No torch, no model.

`render(suite, cells, store)` makes a report, `write(report, directory)` its files; `check(suite, cells)` says before a
run which tables do not fit the suite, `harness.report.pairing` the same of claims.
"""

from __future__ import annotations

from harness.report.claims import Claim, Comparison
from harness.report.formats import FORMATS, Format
from harness.report.render import Report, check, render
from harness.report.table import Entry, Row, Run, Table
from harness.report.write import write

__all__ = [
    "FORMATS", "Claim", "Comparison", "Entry", "Format", "Report", "Row", "Run", "Table", "check", "render", "write",
]  # fmt: skip
