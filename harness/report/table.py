"""A table as data: what formats print. Nothing in here knows about files or markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.cells import Cell
from harness.metrics.estimate import Estimate
from harness.papers import PrintedValue
from harness.spec import Best

Missing = Literal["", "not planned", "not run", "failed", "undefined", "too few", "not in the suite"]
"""Why there is no number; empty when there is one. undefined: no image counts, so the rate does not exist; too few: a
comparison of fewer than two entries; not in the suite: a paper prints it and the suite has nothing of the kind."""


@dataclass(frozen=True)
class Run:
    """One cell of the plan inside a table: what was measured, or why it is missing."""

    cell: Cell
    """Where the record is, and what the cell is called."""
    facets: Mapping[str, str]
    """How the table prints every facet on its axes, for this cell."""
    metric: str
    """What was measured, such as "robust_accuracy"."""
    estimate: Estimate | None
    """The measurement; None when it is missing."""
    missing: Missing = ""
    """Why it is missing."""
    detail: str = ""
    """One line about the failure."""


@dataclass(frozen=True)
class Printed:
    """What a paper prints at a place."""

    text: str
    """As it stands there, such as "100*"."""
    value: PrintedValue
    """The number, and what it is of."""


@dataclass(frozen=True)
class Entry:
    """One place of a table: the mean over its runs (seeds or repeated trainings), or a comparison of other entries."""

    metric: str
    """What the number is; clean accuracy can stand beside other values."""
    estimate: Estimate | None
    """Mean over the finished runs; None when there is none."""
    spread: float | None = None
    """Sample standard deviation over the runs; None for fewer than two, and for a comparison."""
    runs: tuple[Run, ...] = ()
    """What the number was computed from; empty for a mean over other entries."""
    missing: Missing = ""
    """Why there is no number."""
    incomplete: bool = False
    """True when the number lacks some planned runs."""
    comparison: Literal["", "spread", "agreement", "accuracy_gain"] = ""
    """How the number compares the other entries of its row, or its own runs; empty when it does not."""
    over: str = ""
    """Which part of its row a mean over other entries counts, such as "mean.black-box"; empty for the whole row."""
    printed: Printed | None = None
    """What the paper prints here, in a table of a paper."""
    joined: tuple[Entry, ...] = ()
    """Further numbers that stand at the same place, in a table of a paper."""
    join: str = ""
    """What stands between them."""
    blank: str = ""
    """What a paper prints in a place without a number."""
    best: bool | None = None
    """Whether it is the best of its group or not significantly worse; None where it has none to be compared with."""

    @property
    def parts(self) -> tuple[Entry, ...]:
        """All numbers of the place, this one first."""
        return (self, *self.joined)

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, in percentage points; None where one of them is missing."""
        if self.estimate is None or self.printed is None:
            return None
        # Rounded far behind what is printed: two numbers that are equal do not differ by the noise of floats, or by -0.
        return round(100 * self.estimate.value - self.printed.value.number, 9) + 0.0


BLANK = Entry("", None, missing="not planned")
"""A place for which the plan has no cell."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    header: tuple[str, ...]
    """One text per row header of the table."""
    entries: tuple[Entry, ...]
    """One per column of the table."""
    heading: str = ""
    """A line above it, in a table of a paper; only before the first row that it belongs to."""
    rule: bool = False
    """Whether the paper draws a line below it."""


@dataclass(frozen=True)
class Raised:
    """A warning sign that a model showed somewhere behind a table."""

    flag: str
    """A name of `harness.metrics.flags.FLAGS`."""
    model: str
    """The model's name in the suite."""
    images: int
    """How many images show it; the most in one cell."""
    of: int
    """How many images were looked at there."""
    cells: int
    """How many cells of the table show it; 0 for what the model showed when it was examined on clean images."""


@dataclass(frozen=True)
class Against:
    """How far a table agrees with the paper's."""

    printed: int
    """Numbers that the paper prints in it."""
    compared: int
    """How many of them we have."""
    mean_absolute: float | None
    """Mean absolute difference in percentage points; None where there is none to compare."""
    within: int
    """How many of the paper's numbers lie in our 95% interval."""
    directions: Mapping[str, tuple[int, int]]
    """The paper's claims by id: how many of the pairs that we have differ in the direction in which its own numbers
    do, and how many these are."""


@dataclass(frozen=True)
class Table:
    """Estimates by rows and columns, with everything a reader needs to understand them."""

    name: str
    """File name, without suffix."""
    title: str
    """Heading and caption."""
    metric: str
    """What its numbers are, such as "robust_accuracy"."""
    denominator: str
    """Which samples a rate counts."""
    row_headers: tuple[str, ...]
    """How the facets that make rows are called."""
    column_headers: tuple[str, ...]
    """How the facets that make columns are called, outermost first."""
    columns: tuple[tuple[str, ...], ...]
    """One header per column: a text per level, outermost first; unused levels are empty."""
    rows: tuple[Row, ...]
    """The lines, in printing order."""
    notes: tuple[str, ...] = field(default=())
    """Sentences below the table."""
    average: tuple[str, ...] = field(default=())
    """Facets over which entries take the mean."""
    flags: tuple[Raised, ...] = field(default=())
    """Warning signs about its numbers; the notes explain them."""
    reference: str = ""
    """The printed table that it is laid out as, such as "benz2021/4"."""
    against: Against | None = None
    """How far it agrees with the paper's; None in a table that does not show the paper's numbers."""
    best: Best | None = None
    """Which entry of a group is marked; None for none."""
    among: tuple[str, ...] = field(default=())
    """How the facets are called in which the entries of a group differ."""

    @property
    def entries(self) -> Iterator[Entry]:
        """All numbers that the plan fills, row by row."""
        places = (entry for row in self.rows for entry in row.entries)
        return (part for entry in places for part in entry.parts if part.missing != "not planned")

    @property
    def comparisons(self) -> list[Entry]:
        """The places that compare entries or runs, row by row."""
        return [entry for entry in self.entries if entry.comparison]

    @property
    def runs(self) -> list[Run]:
        """All runs behind the table, each once; cells of several names that share a record are several."""
        return list({(run.cell, run.metric): run for entry in self.entries for run in entry.runs}.values())

    @property
    def decimals(self) -> int:
        """Decimals of a percentage: two only where 10,000 or more samples carry them."""
        counts = [entry.estimate.n for entry in self.entries if entry.estimate]
        return 2 if counts and min(counts) >= 10_000 else 1
