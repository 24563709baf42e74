"""A report to files, each written under a temporary name and renamed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.report.claim_files import CLAIM_FILES
from harness.report.formats import FORMATS
from harness.report.pairing import FILE
from harness.report.render import Report
from harness.store.files import write_bytes

PAGE = "report.md"
"""The page, which holds all tables."""


def write(
    report: Report, directory: Path, formats: Iterable[str] | None = None, *, figures: bool = False
) -> list[Path]:
    """Write the page, every table in every format, and the claims in CSV and JSON where these are among them.

    Args:
        report: what to write.
        directory: where to; made if it is not there.
        formats: names of FORMATS; default all.
        figures: whether to draw a figure per table, which the page then shows.

    Returns:
        The files, the page first.

    Raises:
        HarnessError: for an unknown format, before anything is written.
        OSError: when a file cannot be written.
    """
    names = list(FORMATS.names() if formats is None else formats)
    chosen = [FORMATS.get(name) for name in names]
    files: dict[str, bytes] = {}
    pictures: dict[str, str] = {}
    for table in (*report.tables, *report.comparisons):
        for form in chosen:
            if not form.in_page:
                files[table.name + form.suffix] = form.text(table).encode()
    for table in report.tables if figures else ():
        from harness.report.figure import png

        pictures[table.name] = f"{table.name}.png"
        files[pictures[table.name]] = png(table)
    if report.claims:
        files |= {f"{FILE}.{name}": CLAIM_FILES[name](report.claims).encode() for name in names if name in CLAIM_FILES}
    files = {PAGE: report.page(pictures).encode(), **files}
    for name, content in files.items():
        write_bytes(directory / name, content)
    return [directory / name for name in files]
