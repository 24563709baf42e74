import pytest

from harness.core.errors import HarnessError
from harness.papers import PaperClaim, paper_claim, paper_claims

COMPARABLE = [claim for claim in paper_claims() if claim.comparable]


def test_there_are_95_claims_with_ids_of_their_own() -> None:
    assert len({claim.id for claim in paper_claims()}) == len(paper_claims()) == 95
    assert len(COMPARABLE) == 54


@pytest.mark.parametrize("claim", COMPARABLE, ids=lambda claim: claim.id)
def test_the_counts_of_a_claim_follow_from_the_printed_numbers(claim: PaperClaim) -> None:
    holding = [pair for pair in claim.pairs if claim.differs_as_claimed(pair.left.number, pair.right.number)]
    assert (str(len(claim.pairs)), str(len(holding))) == (claim.n_pairs, claim.n_hold)
    assert claim.holds == ("yes" if len(holding) == len(claim.pairs) else "no")
    assert bool(claim.exceptions) == (claim.holds == "no")


def test_claims_about_figures_have_no_counts() -> None:
    figures = [claim for claim in paper_claims() if claim.holds == "not_printed"]
    assert {claim.n_pairs + claim.n_hold for claim in figures} == {""}
    assert all(not claim.references for claim in figures)


def test_the_sides_of_a_pair_agree_on_what_they_are_matched_on() -> None:
    claim = paper_claim("B11")
    assert claim.references == {"benz2021/4"}
    assert len(claim.pairs) == 10
    for left, right in claim.pairs:
        assert (left.norm, right.norm, left.arch) == ("none", "bn", "vgg16")
        assert (left.attack, left.target) == (right.attack, right.target)
        assert left.target not in ("vgg16", "avg")


def test_an_unknown_claim_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(HarnessError, match=r'no paper claims "B111"'):
        paper_claim("B111")
