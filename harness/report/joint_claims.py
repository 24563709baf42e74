"""The papers' claims, each judged once over all suites that have something to say about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.cells import Cells
from harness.core.errors import HarnessError
from harness.papers import paper_claim
from harness.report.claims import Claim, judge
from harness.report.joint_suites import Joint
from harness.report.pairing import pair_up, place_of
from harness.spec import ClaimSpec


def claims_of(joint: Joint) -> Iterator[Claim]:
    """The papers' claims that suites make, each once, over all suites that make it or fill a table of its numbers."""
    made: dict[str, list[tuple[str, ClaimSpec]]] = {}
    for suite in joint.suites:
        for claim in suite.claims:
            if claim.paper and suite.name in joint.parts:
                made.setdefault(claim.paper, []).append((suite.name, claim))
    for id, claims in made.items():
        (first, claim), *others = claims
        for other, its in others:
            if (its.denominator, its.where) != (claim.denominator, claim.where):
                raise HarnessError(
                    f"{place_of(claim)}: {first} and {other} make it differently.\n"
                    "     make `denominator` and `where` agree, or report one of them alone"
                )
        tables = paper_claim(id).references
        filling = {suite.name for reference in tables for suite, _ in joint.printed.get(reference, ())}
        names = [name for name in joint.parts if name in filling | {name for name, _ in claims}]
        evidence = joint.evidence(names)
        _refuse_several_sources(claim, evidence.cells, [joint.parts[name] for name in names])
        yield judge(claim, evidence)


def _refuse_several_sources(claim: ClaimSpec, cells: Cells, parts: Sequence[Cells]) -> None:
    """Raise HarnessError where suites have different records of a side of a pair."""
    ids = {part.suite: part.ids() for part in parts}
    for pair in pair_up(claim, cells).pairs:
        for side in (pair.greater, pair.than):
            wanted = {cell.id for cell in side}
            having = [name for name, own in ids.items() if wanted & own]
            if any(not wanted <= ids[name] for name in having):
                raise HarnessError(
                    f"{place_of(claim)}: {' and '.join(having)} have different records of one side of a pair "
                    f"({', '.join(pair.match.values())}).\n     leave one of them out"
                )
