"""Mistakes in the claims of a suite, found before anything runs."""

from __future__ import annotations

from harness.cells import Cells
from harness.core.errors import HarnessError
from harness.plan.mistakes import Mistakes
from harness.plan.tables import readable_tables
from harness.report.pairing import check_claim, check_names, pair_up, place_of
from harness.spec import ClaimSpec, Reading


def check_claim_facets(reading: Reading, mistakes: Mistakes) -> None:
    """Note what is wrong with claims as far as the suite file alone can tell, when cells are not known."""
    for position, claim in readable_claims(reading):
        facets = (*claim.greater, *claim.than, *claim.where, *claim.match)
        if reading.facts_known or not any("facts." in facet for facet in facets):
            mistakes.attempt(f"claims[{position}]", lambda claim=claim: check_claim(claim, reading.suite))  # type: ignore[misc]


def check_claims(reading: Reading, cells: Cells, mistakes: Mistakes) -> None:
    """Note everything that is wrong with claims."""
    claims = readable_claims(reading)
    for position, claim in claims:
        try:
            pair_up(claim, cells)
        except HarnessError as error:
            mistakes.add(f"claims[{position}]", str(error).removeprefix(f"{place_of(claim)}: "))
    tables = [table for _, table in readable_tables(reading)]
    mistakes.attempt("claims", lambda: check_names([claim for _, claim in claims], tables))


def readable_claims(reading: Reading) -> list[tuple[int, ClaimSpec]]:
    """The claims that could be read, with their positions."""
    return [
        (position, claim)
        for position, claim in enumerate(reading.suite.claims)
        if ("claims", position) not in reading.unread
    ]
