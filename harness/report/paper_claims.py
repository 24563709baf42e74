"""Claims of papers: which cells of a suite stand for the printed numbers that they compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.cells import Cell, Cells
from harness.core.errors import HarnessError
from harness.papers import PaperClaim, PrintedValue, paper_claim
from harness.papers.claims import Terms
from harness.papers.tables import values_of
from harness.papers.values import AVERAGE, FEATURES
from harness.report.binding import MEASURED, Binding, mode_of
from harness.report.cell_facets import CellFacets
from harness.report.facets import Mode
from harness.report.pairs import Pair, Pairing
from harness.report.selection import filters_of
from harness.spec import ClaimSpec

IN_CLEAN = {"dataset": "dataset", "arch": "model", "norm": "model.norm"}
IN_WHITEBOX = {**IN_CLEAN, "attack": "attack", "eps": "threat"}
IN_TRANSFER = {**IN_WHITEBOX, "arch": "surrogate", "norm": "surrogate.norm", "target": "target"}
"""Facets by the keys of printed numbers."""

AGAINST = " against "
"""Between what the sides of a pair have for a key, where they differ."""


def filled(claim: ClaimSpec) -> ClaimSpec:
    """A claim with everything that the paper brings; any other claim as it is.

    Raises:
        HarnessError: when there is no such claim, or it does not compare printed numbers.
    """
    if claim.paper is None:
        return claim
    paper = _comparable(claim.paper)
    mode, means = printed_mode(claim.paper), _is_of_means(paper)
    kept = set(paper.keys) - {"dataset", *(("target",) if means else ())}
    sides = [_words(side) for side in paper.sides]
    greater, than = sides if paper.kind == "greater" else sides[::-1]
    common = {key: value for key, value in greater.items() if than.get(key) == value}
    return claim.model_copy(
        update={
            "text": claim.text or f"{paper.description} ({paper.paper}, {paper.where})",
            "value": MEASURED[paper.pairs[0].left.metric],
            "mode": None if mode == "clean" else mode,
            "greater": {key: value for key, value in greater.items() if key not in common},
            "than": {key: value for key, value in than.items() if key not in common},
            "where": {**common, **claim.where},
            "match": [*(facet for key, facet in _facets(paper).items() if key in kept), *_apart(paper)],
            "average": ["target"] if means else [],
        }
    )


def printed_pairing(claim: ClaimSpec, cells: Cells) -> Pairing:
    """The pairs of a paper's claim that a suite has, in the order of the paper.

    Raises:
        HarnessError: as `filled`; or when the suite has none of them.
    """
    assert claim.paper is not None, "other claims say themselves what they compare"
    paper, place = _comparable(claim.paper), f'claim "{claim.name}"'
    facets = CellFacets(cells, printed_mode(claim.paper))
    binding = Binding(cells, facets, filters_of(claim.where), place)
    shown, apart = _facets(paper), _apart(paper)
    pairs, alone, absent = [], [], 0
    for printed in paper.pairs:
        first, second = printed if paper.kind == "greater" else printed[::-1]
        sides = [side for value in (first, second) if (side := _side(value, binding))]
        if not sides:
            absent += 1
            continue
        match = _match(shown, facets, [side.cells[0] for side in sides], first)
        match |= {key: _told(key, (first, second)) for key in apart}
        if len(sides) == 2:
            greater, than = sides
            pairs.append(Pair(match, greater.cells, than.cells, (greater.base, than.base)))
        else:
            alone.append(", ".join(match.values()))
    if not pairs:
        raise HarnessError(
            f"{place}: the suite has none of the {len(paper.pairs)} pairs that it compares.\n"
            "     say with `paper` what its data sets, attacks and models are in the paper"
        )
    return Pairing(tuple(pairs), tuple(dict.fromkeys(alone)), absent)


def printed_mode(id: str) -> Mode:
    """Which cells a paper's claim is about. Raises HarnessError for claims that compare no printed numbers."""
    return mode_of(value for pair in _comparable(id).pairs for value in pair)


class _Side(NamedTuple):
    """The cells of one side of a pair."""

    cells: tuple[Cell, ...]
    base: tuple[Cell, ...] = ()
    """What their value is a gain over."""


def _side(value: PrintedValue, binding: Binding) -> _Side | None:
    """The cells of a printed number; None where the suite lacks them, or part of what it is made of."""
    groups = [binding.cells_of(one, values_of(value.paper, value.table)) for one in value.operands]
    return _Side(*groups) if all(groups) else None


def _comparable(id: str) -> PaperClaim:
    """A claim that can be judged on records. Raises HarnessError in words for every other."""
    paper = paper_claim(id)
    what = f'"{id}" ({paper.paper}, {paper.where}: {paper.description})'
    if not paper.comparable:
        kind = "a trend" if paper.kind == "trend" else "about numbers that the paper does not print"
        raise HarnessError(f"{what} is {kind}, and no comparison of printed numbers.\n     write its sides yourself")
    values = [value for pair in paper.pairs for value in pair]
    if len({value.metric for value in values}) > 1:
        raise HarnessError(f"{what} compares numbers of several metrics.\n     write its sides yourself")
    return paper


def _is_of_features(paper: PaperClaim) -> bool:
    return all(value.attack == FEATURES for pair in paper.pairs for value in pair)


def _is_of_means(paper: PaperClaim) -> bool:
    return all(value.target == AVERAGE for pair in paper.pairs for value in pair)


def _facets(paper: PaperClaim) -> dict[str, str]:
    """Facets by the keys on which the numbers of a pair agree, the data set among them; none of those on features.

    Sides on features are on different data sets, and often of different models: the paper's words are all they share.
    """
    if _is_of_features(paper):
        return {}
    known = {"clean": IN_CLEAN, "whitebox": IN_WHITEBOX, "transfer": IN_TRANSFER}[printed_mode(paper.id)]
    keys = [key for key in paper.keys if key in known]
    return {"dataset": "dataset", **{key: known[key] for key in keys}}


def _apart(paper: PaperClaim) -> list[str]:
    """Keys that tell apart the pairs that agree in everything else: those for which a side has several values.

    Of numbers on features also the keys on which pairs agree.
    """
    several = {
        key.removesuffix("!") for side in paper.sides for key, of in side.items() if len(of) > 1 or key[-1] == "!"
    }
    agreed = paper.keys if _is_of_features(paper) else ()
    return [*agreed, *sorted(several - {*paper.keys, "paper", "table"})]


def _told(key: str, sides: Iterable[PrintedValue]) -> str:
    """What the sides of a pair have for a key, in the paper's words."""
    return AGAINST.join(dict.fromkeys(str(getattr(value, key)) for value in sides))


def _match(shown: Mapping[str, str], facets: CellFacets, cells: Sequence[Cell], value: PrintedValue) -> dict[str, str]:
    """What the two sides of a pair agree on in the paper, as tables print it; both where the suite's words differ."""
    return {
        facet: AGAINST.join(dict.fromkeys(facets.text(facet, cell) for cell in cells))
        for key, facet in shown.items()
        if not (key == "target" and value.target == AVERAGE)
    }


def _words(side: Terms) -> dict[str, list[str]]:
    """Filters as claims print them, in the paper's words."""
    left_out = ("paper", "table", "metric")
    return {
        key.removesuffix("!"): [f"not {' or '.join(values)}"] if key.endswith("!") else list(values)
        for key, values in side.items()
        if key not in left_out
    }
