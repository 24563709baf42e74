"""Which cells pass the filters of a table or claim, and whether those left differ in what should be the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from harness.cells import Cell
from harness.core.errors import HarnessError, did_you_mean
from harness.report.cell_facets import CellFacets
from harness.report.facets import Mode, permitted

Filters = Mapping[str, tuple[Any, ...]]
"""Facets, and the values that are let through."""

SAME_IN_ONE_PLACE = ("mode", "dataset", "attack", "threat", "surrogate", "surrogate.norm", "target", "target.norm")
"""What all cells at one place share: a mean over seeds or trainings is a number, a mean over attacks is a mistake."""


class Mixture(NamedTuple):
    """What cells at one place differ in."""

    facet: str
    """A facet that has several values, as the suite would write it."""
    texts: tuple[str, ...]
    """The values."""

    @property
    def filter(self) -> str:
        """How the suite would choose one of them."""
        return f"where = {{ {self.key} = ... }}"

    @property
    def key(self) -> str:
        """The facet as a TOML key."""
        return f'"{self.facet}"' if "." in self.facet else self.facet


def cells_in(cells: Iterable[Cell], mode: Mode | None) -> list[Cell]:
    """The cells of a mode; without one, all attacked ones."""
    return [cell for cell in cells if (cell.mode == mode if mode else cell.mode != "clean")]


def filters_of(where: Mapping[str, Any]) -> Filters:
    """Filters as a suite writes them, a single value standing for a list of one."""
    return {facet: tuple(value) if isinstance(value, list) else (value,) for facet, value in where.items()}


def check_filters(cells: Collection[Cell], filters: Filters, facets: CellFacets, place: str) -> None:
    """Raise HarnessError, beginning with the place, for a value that no cell has, or that means two models.

    Without cells nothing is wrong.
    """
    for facet, accepted in filters.items():
        for wanted in accepted:
            if cells and (other := facets.other_model(facet, wanted)):
                raise HarnessError(
                    f'{place}: {facet} = {wanted!r} is the name of one model and the label of another, "{other}".\n'
                    "     give one of them another name or label"
                )
            if cells and not any(facets.matches(facet, cell, wanted) for cell in cells):
                known = dict.fromkeys(facets.text(facet, cell) for cell in cells)
                raise HarnessError(
                    f"{place}: no cell has {facet} = {wanted!r}.\n     {did_you_mean(str(wanted), known)}"
                )


def passes(filters: Filters, facets: CellFacets, cell: Cell) -> bool:
    """Whether filters let a cell through; what they say about attacks does not concern clean cells."""
    return all(
        (cell.mode == "clean" and facets.of_attacks(facet))
        or any(facets.matches(facet, cell, wanted) for wanted in accepted)
        for facet, accepted in filters.items()
    )


def mixture(cells: Iterable[Cell], facets: CellFacets, average: Iterable[str]) -> Mixture | None:
    """What cells at one place differ in though they should not; None if they only differ in what is averaged."""
    cells, allowed = list(cells), permitted(average)
    clean = any(cell.mode == "clean" for cell in cells)
    for facet in SAME_IN_ONE_PLACE:
        texts = dict.fromkeys(facets.text(facet, cell) for cell in cells)
        if len(texts) > 1 and facet not in allowed and not (clean and facet.startswith("surrogate")):
            own = facets.mode in ("clean", "whitebox")
            word = facet.replace("surrogate", "model").replace("target", "model") if own else facet
            return Mixture(word, tuple(texts))
    return None
