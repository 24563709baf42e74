"""Which cells stand at which place of a table. Reads the plan only, so that mistakes show before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.cells import Cell, Cells
from harness.core.errors import HarnessError
from harness.report.cell_facets import CellFacets
from harness.report.layout import CLEAN, Layout, check_headers
from harness.report.selection import cells_in, check_filters, mixture, passes

Key = tuple[str, ...]
"""One text per facet of an axis."""

_CLEAN_TEXT = "\0clean"
"""Stands for clean accuracy in keys, which no facet's text can collide with."""


@dataclass(frozen=True)
class Arrangement:
    """The cells of a table by place, in printing order."""

    rows: tuple[Key, ...]
    """Row keys."""
    columns: tuple[Key, ...]
    """Column keys."""
    cells: Mapping[tuple[Key, Key], tuple[Cell, ...]]
    """Row and column key to the cells there."""

    def is_clean(self, key: Key) -> bool:
        """Whether a row or column holds clean accuracies."""
        return _CLEAN_TEXT in key


def arrange(layout: Layout, cells: Cells) -> Arrangement:
    """Sort a suite's cells into a table.

    Raises:
        HarnessError: when a filter accepts nothing, no cell is left, or a place would mix different questions.
    """
    facets = CellFacets(cells, layout.mode)
    shown = _shown(layout, facets)
    clean = [
        cell for cell in cells.cells if layout.clean and cell.mode == "clean" and passes(layout.where, facets, cell)
    ]
    if not shown:
        raise HarnessError(f"{layout.place}: no cell of the suite fits.\n     loosen a filter of `where`")
    row_keys = {cell: _key(layout.rows, facets, cell) for cell in shown}
    column_keys = {cell: _key(layout.columns, facets, cell) for cell in shown}
    places: dict[tuple[Key, Key], dict[str, Cell]] = {}
    for cell in shown:
        places.setdefault((row_keys[cell], column_keys[cell]), {})[cell.id] = cell
    rows, columns = set(row_keys.values()), set(column_keys.values())
    for row, column, cell in _clean_places(layout, facets, clean, rows, columns):
        places.setdefault((row, column), {})[cell.id] = cell
    _refuse_mixtures(layout, facets, places)
    return _ordered(layout, facets, places)


def header_texts(layout: Layout, key: Key) -> tuple[str, ...]:
    """A key as headers, with the suite's own words."""
    clean = layout.headers.get(CLEAN, "Clean" if layout.value == "robust_accuracy" else "Clean accuracy")
    return tuple(clean if text == _CLEAN_TEXT else layout.header(text) for text in key)


def _shown(layout: Layout, facets: CellFacets) -> list[Cell]:
    cells = cells_in(facets.cells.cells, layout.mode)
    check_filters(cells, layout.where, facets, f"{layout.place}: where")
    return [cell for cell in cells if passes(layout.where, facets, cell)]


def _key(axis: tuple[str, ...], facets: CellFacets, cell: Cell) -> Key:
    return tuple(facets.text(facet, cell) for facet in axis)


def _clean_places(
    layout: Layout, facets: CellFacets, clean: list[Cell], rows: set[Key], columns: set[Key]
) -> Iterator[tuple[Key, Key, Cell]]:
    """Clean cells form columns (or rows) of their own and stand beside every attack on the same model and data."""
    as_columns = any(map(facets.of_attacks, layout.columns))
    own_axis, other_axis = (layout.columns, layout.rows) if as_columns else (layout.rows, layout.columns)
    others = rows if as_columns else columns
    for cell in clean:
        own = _clean_key(own_axis, facets, cell)
        for other in (key for key in others if _fits(key, other_axis, facets, cell)):
            yield (other, own, cell) if as_columns else (own, other, cell)


def _clean_key(axis: tuple[str, ...], facets: CellFacets, cell: Cell) -> Key:
    """The key of a clean row or column: marked at the attack's level, empty at the other levels about attacks."""
    levels = [facet for facet in axis if facets.of_attacks(facet)]
    marked = "attack" if "attack" in levels else levels[0]
    bare = _bare_key(axis, facets, cell)
    return tuple(_CLEAN_TEXT if facet == marked else text for facet, text in zip(axis, bare, strict=True))


def _bare_key(axis: tuple[str, ...], facets: CellFacets, cell: Cell) -> Key:
    return tuple("" if facets.of_attacks(facet) else facets.text(facet, cell) for facet in axis)


def _fits(key: Key, axis: tuple[str, ...], facets: CellFacets, cell: Cell) -> bool:
    pairs = zip(axis, key, strict=True)
    return all(facets.of_attacks(facet) or facets.text(facet, cell) == text for facet, text in pairs)


def _refuse_mixtures(layout: Layout, facets: CellFacets, places: Mapping[tuple[Key, Key], Mapping[str, Cell]]) -> None:
    for cells in places.values():
        if mixed := mixture(cells.values(), facets, layout.average):
            means = "" if mixed.facet == "dataset" else f', or take the mean with average = ["{mixed.facet}"]'
            raise HarnessError(
                f"{layout.place}: one entry would mix several values of {mixed.facet}: {', '.join(mixed.texts)}.\n"
                f'     add "{mixed.facet}" to rows or columns, or choose one with {mixed.filter}{means}'
            )


def _ordered(layout: Layout, facets: CellFacets, places: Mapping[tuple[Key, Key], Mapping[str, Cell]]) -> Arrangement:
    rows = _sorted({row for row, _ in places}, layout.rows, facets)
    columns = _sorted({column for _, column in places}, layout.columns, facets)
    check_headers(layout, (text for key in (*rows, *columns) for text in key if text != _CLEAN_TEXT))
    return Arrangement(rows, columns, {place: tuple(cells.values()) for place, cells in places.items()})


def _sorted(keys: Iterable[Key], axis: tuple[str, ...], facets: CellFacets) -> tuple[Key, ...]:
    """Keys by the ranks of their texts, outermost first; clean ones before attacked ones at their level."""
    ranks: list[dict[str, int]] = [{**facets.order(facet), _CLEAN_TEXT: -1} for facet in axis]

    def rank(key: Key) -> tuple[Any, ...]:
        return tuple(order[text] for order, text in zip(ranks, key, strict=True))

    return tuple(sorted(keys, key=rank))
