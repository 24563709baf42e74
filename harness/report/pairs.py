"""What a claim compares: pairs of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.cells import Cell


@dataclass(frozen=True)
class Pair:
    """Cells that a claim compares."""

    match: Mapping[str, str]
    """What they agree on: facet to text."""
    greater: tuple[Cell, ...]
    """The side that is said to have the greater value."""
    than: tuple[Cell, ...]
    """The other side."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Those of both sides."""
        return self.greater + self.than


@dataclass(frozen=True)
class Pairing:
    """Everything that a claim compares."""

    pairs: tuple[Pair, ...]
    """In the order of the suite."""
    alone: tuple[str, ...]
    """What one side has and the other lacks, as texts of the matched facets; no part of the claim."""
    absent: int = 0
    """Pairs of a paper's claim of which the suite has neither side; no part of it either."""
