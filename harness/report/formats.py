"""The contract of a report format: a table to the text of one file.

To add one, register a `Format` in a new module of this package; it sees nothing but a `Table`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.core.registry import Registry
from harness.report.table import Table


@dataclass(frozen=True)
class Format:
    """How one table becomes one file."""

    suffix: str
    """Of the file, with its dot."""
    text: Callable[[Table], str]
    """The file's content."""
    in_page: bool = False
    """True when the report page already holds the table in this format, so that it needs no file of its own."""


FORMATS: Registry[Format] = Registry("report format", package="harness.report")
