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
    bases: tuple[tuple[Cell, ...], tuple[Cell, ...]] = ((), ())
    """What the values of either side are gains over; empty where they are no gains."""

    @property
    def sides(self) -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
        """All cells of either side, what they are gains over included."""
        return self.greater + self.bases[0], self.than + self.bases[1]

    @property
    def groups(self) -> tuple[tuple[Cell, ...], ...]:
        """The cells of either side, those that mean the same thing together: in a gain, what it is over apart."""
        both = (self.greater, self.bases[0], self.than, self.bases[1])
        return tuple(group for group in both if group)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Those of both sides."""
        return tuple(cell for group in self.groups for cell in group)


@dataclass(frozen=True)
class Pairing:
    """Everything that a claim compares."""

    pairs: tuple[Pair, ...]
    """In the order of the suite."""
    alone: tuple[str, ...]
    """What one side has and the other lacks, as texts of the matched facets; no part of the claim."""
    absent: int = 0
    """Pairs of a paper's claim of which the suite has neither side; no part of it either."""
    untrained: tuple[str, ...] = ()
    """Suite names of models that were left out, for which other trainings of their networks stand."""
