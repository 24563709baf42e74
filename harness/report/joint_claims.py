"""The papers' claims, each judged once over all suites that have something to say about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.cells import Cells
from harness.core.errors import HarnessError
from harness.papers import paper_claim
from harness.report.cell_facets import CellFacets
from harness.report.claims import Claim, judge
from harness.report.joint_suites import Joint
from harness.report.merging import merged
from harness.report.pairing import pair_up, place_of
from harness.report.paper_claims import printed_mode
from harness.report.selection import Filters, cells_in, check_filters, filters_of, passes
from harness.spec import ClaimSpec


def claims_of(joint: Joint) -> Iterator[Claim]:
    """The papers' claims that suites make, each once, over all suites that make it or fill a table of its numbers.

    Claims of several names about one are several: they look at different cells.
    """
    made: dict[tuple[str, str], dict[str, ClaimSpec]] = {}
    for suite in joint.suites:
        for claim in suite.claims:
            if claim.paper and suite.name in joint.parts:
                made.setdefault((claim.paper, claim.name), {})[suite.name] = claim
    for claims in made.values():
        (first, claim), *others = claims.items()
        for other, its in others:
            if its.denominator != claim.denominator:
                raise HarnessError(
                    f"{place_of(claim)}: {first} and {other} make it differently.\n"
                    "     make `denominator` agree, or report one of them alone"
                )
        parts = [*_choosing(claims, joint)]
        # Every suite's own filters have chosen among its cells.
        everywhere = claim.model_copy(update={"where": {}})
        _refuse_several_sources(everywhere, parts)
        yield judge(everywhere, joint.evidence([part.suite for part in parts]), merged(parts))


def _choosing(claims: Mapping[str, ClaimSpec], joint: Joint) -> Iterator[Cells]:
    """What suites contribute: the cells that their filters choose, under the names of the joint report."""
    claim = next(iter(claims.values()))
    for name, part in joint.parts.items():
        own, facets = joint.own[name], CellFacets(joint.own[name], printed_mode(str(claim.paper)))
        if name in claims:
            filters = [filters_of(claims[name].where)]
            check_filters(
                cells_in(own.cells, facets.mode), filters[0], facets, f"suite {name}: {place_of(claim)}: where"
            )
        else:
            filters = _filters_of_tables(name, str(claim.paper), joint)
        if filters:
            pairs = zip(own.cells, part.cells, strict=True)
            kept = [renamed for cell, renamed in pairs if any(passes(where, facets, cell) for where in filters)]
            yield part.model_copy(update={"cells": kept})


def _filters_of_tables(name: str, paper: str, joint: Joint) -> list[Filters]:
    """Those of the tables of a paper's claim that a suite fills; none where it makes the claim under another name."""
    printed = [used for reference in paper_claim(paper).references for used in joint.printed.get(reference, ())]
    return [
        filters_of(table.where)
        for suite, table in printed
        if suite.name == name and not any(its.paper == paper for its in suite.claims)
    ]


def _refuse_several_sources(claim: ClaimSpec, parts: Sequence[Cells]) -> None:
    """Raise HarnessError where suites have different records of a side of a pair."""
    ids = {part.suite: part.ids() for part in parts}
    for pair in pair_up(claim, merged(parts)).pairs:
        for side in (pair.greater, pair.than):
            wanted = {cell.id for cell in side}
            having = [name for name, own in ids.items() if wanted & own]
            if any(not wanted <= ids[name] for name in having):
                raise HarnessError(
                    f"{place_of(claim)}: {' and '.join(having)} have different records of one side of a pair "
                    f"({', '.join(pair.match.values())}).\n     leave one of them out"
                )
