"""Suites whose records fill the same printed tables and decide the same claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.cells import Cells
from harness.papers import printed_table
from harness.report.evidence import Evidence
from harness.report.merging import merged
from harness.spec import Suite, TableSpec
from harness.store import Store


@dataclass(frozen=True)
class Joint:
    """Suites whose records fill tables together."""

    own: Mapping[str, Cells]
    """The cells of the suites that were run, by suite, with the names that filters of the suite use."""
    parts: Mapping[str, Cells]
    """The same cells; what several suites name means one thing."""
    suites: tuple[Suite, ...]
    """All of them, in the order of the command."""
    store: Store
    """Where the records are."""

    def evidence(self, names: Sequence[str]) -> Evidence:
        """What the store knows about some of the suites."""
        return Evidence(merged([self.parts[name] for name in names]), self.store)

    @cached_property
    def printed(self) -> dict[str, list[tuple[Suite, TableSpec]]]:
        """The suites' tables of papers, by reference."""
        found: dict[str, list[tuple[Suite, TableSpec]]] = {}
        for suite in self.suites:
            for table in suite.tables:
                if table.reference:
                    found.setdefault(printed_table(table.reference).reference, []).append((suite, table))
        return found

    @property
    def never_run(self) -> tuple[str, ...]:
        """The suites of which the store knows nothing."""
        return tuple(suite.name for suite in self.suites if suite.name not in self.parts)
