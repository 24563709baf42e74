"""Which cells a claim compares with which. Reads the plan only, so that mistakes show before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from harness.cells import Cell, Cells
from harness.core.errors import HarnessError
from harness.report.cell_facets import CellFacets
from harness.report.facets import (
    Mode,
    check_average,
    free_facets,
    known_facets,
    mode_of,
    require,
    sections_of,
)
from harness.report.pairs import Pair, Pairing
from harness.report.paper_claims import filled, printed_mode, printed_pairing
from harness.report.selection import cells_in, check_filters, filters_of, mixture, passes
from harness.spec import ClaimSpec, Suite, TableSpec

FILE = "claims"
"""Name of the files of claims, which no table can have beside them."""

Key = tuple[str, ...]
"""A text per matched facet."""


def pair_up(claim: ClaimSpec, cells: Cells) -> Pairing:
    """Sort a suite's cells into the pairs of a claim.

    Models that were left out for want of their weights are no part of it where others mean the same: a network that is
    trained several times is compared as far as its trainings are here.

    Raises:
        HarnessError: when a facet is not known, a side has no cells, the sides have nothing to match, or a side of a
            pair would mix different questions.
    """
    pairing, facets = _pair_up(claim, cells)
    left_out, average = cells.left_out(), filled(claim).average
    pairs = tuple(_without(left_out, pair, average, facets) for pair in pairing.pairs)
    lost = {cell for pair in pairing.pairs for cell in pair.cells} - {cell for pair in pairs for cell in pair.cells}
    names = {name for cell in lost for name in (cell.surrogate, cell.target)}
    untrained = tuple(model.name for model in cells.models if model.left_out and model.name in names)
    return replace(pairing, pairs=pairs, untrained=untrained)


def _pair_up(claim: ClaimSpec, cells: Cells) -> tuple[Pairing, CellFacets]:
    if claim.paper:
        pairing, facets = printed_pairing(claim, cells), CellFacets(cells, printed_mode(claim.paper))
        for pair in pairing.pairs:
            _refuse_mixture(filled(claim), pair, facets)
            _refuse_strangers(claim, pair, cells)
        return pairing, facets
    place = place_of(claim)
    try:
        mode = _checked_mode(claim, {cell.mode for cell in cells.cells} - {"clean"}, free_facets(cells))
    except HarnessError as error:
        raise HarnessError(f"{place}: {error}") from None
    facets = CellFacets(cells, mode)
    common = () if "dataset" in (*claim.greater, *claim.than) else ("dataset",)
    matched = tuple(dict.fromkeys((*common, *claim.match)))
    greater, than = (_by_key(side, matched, facets) for side in _sides(claim, facets))
    keys = _sorted(greater.keys() & than.keys(), matched, facets)
    if not keys:
        raise HarnessError(
            f"{place}: nothing agrees in {', '.join(matched)} on both sides.\n"
            "     leave out of `match` what tells the sides apart"
        )
    pairs = tuple(_pair(key, matched, greater[key], than[key]) for key in keys)
    for pair in pairs:
        _refuse_mixture(claim, pair, facets)
        _refuse_strangers(claim, pair, cells)
    alone = _sorted(greater.keys() ^ than.keys(), matched, facets)
    return Pairing(pairs, tuple(", ".join(filter(None, key)) for key in alone)), facets


def check_claim(claim: ClaimSpec, suite: Suite) -> None:
    """Raise HarnessError for what is wrong with a claim, as far as the suite file alone can tell."""
    if claim.paper:
        filled(claim)
        return
    _checked_mode(claim, sections_of(suite), free_facets(suite))


def check_names(claims: Iterable[ClaimSpec], tables: Iterable[TableSpec]) -> None:
    """Raise HarnessError when two claims have one name, or a table has the name of the claims' files."""
    names = [claim.name for claim in claims]
    for name in names:
        if names.count(name) > 1:
            raise HarnessError(f'claim "{name}": two claims have this name.\n     give each its own `name`')
    if names and any(table.name == FILE for table in tables):
        raise HarnessError(f'table "{FILE}": claims are written to files of this name.\n     name the table otherwise')


def place_of(claim: ClaimSpec) -> str:
    """How errors refer to a claim."""
    return f'claim "{claim.name}"'


def _checked_mode(claim: ClaimSpec, sections: Iterable[str], free: Iterable[str]) -> Mode | None:
    """Which cells a claim is about, if its facets are sound."""
    named = (*claim.greater, *claim.than, *claim.where, *claim.match)
    mode = mode_of(claim, named, list(sections))
    known = known_facets(mode, free)
    for facet in named:
        require(facet, known)
    check_average(claim.average, claim.match, known)
    return mode


def _sides(claim: ClaimSpec, facets: CellFacets) -> tuple[list[Cell], list[Cell]]:
    place, cells = place_of(claim), cells_in(facets.cells.cells, facets.mode)
    where = filters_of(claim.where)
    check_filters(cells, where, facets, f"{place}: where")
    both = [cell for cell in cells if passes(where, facets, cell)]
    sides = []
    for name, wanted in (("greater", claim.greater), ("than", claim.than)):
        filters = filters_of(wanted)
        check_filters(cells, filters, facets, f"{place}: {name}")
        sides.append([cell for cell in both if passes(filters, facets, cell)])
        if not sides[-1]:
            raise HarnessError(f"{place}: {name}: no cell of the suite fits.\n     loosen a filter of it or of `where`")
    return sides[0], sides[1]


def _by_key(cells: list[Cell], matched: tuple[str, ...], facets: CellFacets) -> dict[Key, dict[str, Cell]]:
    groups: dict[Key, dict[str, Cell]] = {}
    for cell in cells:
        # Two cells that ask the same thing share a record, which counts once.
        groups.setdefault(tuple(facets.text(facet, cell) for facet in matched), {})[cell.id] = cell
    return groups


def _sorted(keys: Iterable[Key], matched: tuple[str, ...], facets: CellFacets) -> list[Key]:
    ranks = [facets.order(facet) for facet in matched]
    return sorted(keys, key=lambda key: [rank[text] for rank, text in zip(ranks, key, strict=True)])


def _pair(key: Key, matched: tuple[str, ...], greater: Mapping[str, Cell], than: Mapping[str, Cell]) -> Pair:
    return Pair(dict(zip(matched, key, strict=True)), tuple(greater.values()), tuple(than.values()))


def _without(left_out: Collection[str], pair: Pair, average: Collection[str], facets: CellFacets) -> Pair:
    """A pair without the records that will not come, as far as each has others beside it that mean the same."""

    def here(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        meanings = {cell: tuple(facets.text(facet, cell) for facet in average) for cell in cells}
        answered = {meaning for cell, meaning in meanings.items() if cell.id not in left_out}
        return tuple(cell for cell in cells if cell.id not in left_out or meanings[cell] not in answered)

    return replace(
        pair, greater=here(pair.greater), than=here(pair.than), bases=(here(pair.bases[0]), here(pair.bases[1]))
    )


def _refuse_mixture(claim: ClaimSpec, pair: Pair, facets: CellFacets) -> None:
    place = place_of(claim)
    for name, cells in (("greater", pair.greater), ("than", pair.than), *(("than", base) for base in pair.bases)):
        if mixed := mixture(cells, facets, claim.average):
            raise HarnessError(
                f"{place}: {name}: a side would mix several values of {mixed.facet}: {', '.join(mixed.texts)}.\n"
                f'     add "{mixed.facet}" to match or to average, or choose one with {mixed.filter}'
            )
    greater, than = ({cell.id for cell in side} for side in pair.sides)
    if shared := greater & than:
        cell = next(cell for cell in pair.cells if cell.id in shared)
        raise HarnessError(
            f"{place}: {' '.join(filter(None, (cell.attack, cell.threat)))} of {cell.surrogate} on {cell.target} is on "
            "both sides, and nothing is greater than itself.\n     tell the sides apart in `greater` and `than`"
        )


def _refuse_strangers(claim: ClaimSpec, pair: Pair, cells: Cells) -> None:
    """Images are paired by position: within a data set, and between feature sets that were made from the same ones."""
    names = dict.fromkeys(cell.dataset for cell in pair.cells)
    origins = {entry.origin for entry in cells.datasets if entry.label in names}
    if len(names) > 1 and (len(origins) > 1 or "" in origins):
        raise HarnessError(
            f"{place_of(claim)}: {' and '.join(names)} do not share their images, so that nothing can be paired.\n"
            "     compare within a data set, or feature sets whose cards have the same kind, seed and source"
        )
