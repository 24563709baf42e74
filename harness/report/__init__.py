"""Reports: a suite's cells and the store to tables, files and a page. No torch, no model.

`render(suite, cells, store)` makes a report, `write(report, directory)` its files; `check(suite, cells)` says before a
run which tables do not fit the suite.
"""

from __future__ import annotations

from harness.report.formats import FORMATS, Format
from harness.report.render import Report, check, render
from harness.report.table import Entry, Row, Run, Table
from harness.report.write import write

__all__ = ["FORMATS", "Entry", "Format", "Report", "Row", "Run", "Table", "check", "render", "write"]
