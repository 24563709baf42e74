"""Claims judged from records: pairs, sides, tests, verdicts, and what is a mistake."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.core.errors import HarnessError
from harness.metrics import compare_means, mcnemar
from harness.metrics.sign_tests import needed_images
from harness.report import Claim, Report, render, write
from harness.report.claim_texts import HOW_TO_READ, terminal_claims
from harness.report.pairing import check_claim
from harness.spec import ClaimSpec

from .lab import Lab
from .test_formats import read_pipes

T, F = True, False
N = 100

CLAIM = {
    "name": "B11",
    "text": "Substitutes without BN transfer better",
    "value": "attack_success_rate",
    "greater": {"facts.bn": "N"},
    "than": {"facts.bn": "Y"},
    "where": {"surrogate": "VGG", "relation": "other architecture"},
    "match": ["attack", "target"],
}


def fooled(*runs: tuple[int, bool]) -> list[bool]:
    """Correctness under attack from runs of (images, fooled)."""
    return [not said for images, said in runs for _ in range(images)]


def strong(hits: int) -> list[bool]:
    """The first images are fooled."""
    return fooled((hits, T), (N - hits, F))


@pytest.fixture
def twins(lab: Lab) -> Lab:
    """Twins of one label as surrogates, two targets of other architectures and the twins themselves; 100 images."""
    lab.datasets[0] = lab.datasets[0].model_copy(update={"samples": N})
    for name, norm in (("vgg", "none"), ("vgg-bn", "bn")):
        lab.model(name, label="VGG", norm=norm, bn="Y" if norm == "bn" else "N")
    lab.model("alex", label="AlexNet", norm="none")
    lab.model("res", label="ResNet")
    for model in lab.models:
        lab.judge_clean(model.name, [T] * N)
    return lab


def transfer(lab: Lab, plain: dict[str, int | None], batch: dict[str, int | None], attack: str = "MI") -> None:
    """Images fooled by either surrogate, by target; None was planned but did not run."""
    for surrogate, hits in (("vgg", plain), ("vgg-bn", batch)):
        for target, count in hits.items():
            lab.attack(surrogate, target, None if count is None else strong(count), attack, mode="transfer")


def report(lab: Lab, *claims: dict[str, Any]) -> Report:
    return render(lab.suite(claims=list(claims)), lab.cells(), lab.store)


def judged(lab: Lab, **keys: Any) -> Claim:
    (claim,) = report(lab, {**CLAIM, **keys}).claims
    return claim


def verdicts(claim: Claim) -> list[tuple[str, str]]:
    return [(", ".join(list(c.pair.match.values())[1:]), c.verdict) for c in claim.comparisons]


def mistake(lab: Lab, **keys: Any) -> str:
    with pytest.raises(HarnessError) as error:
        judged(lab, **keys)
    return str(error.value)


# --- verdicts -----------------------------------------------------------------------------------------------------


def test_a_claim_is_reproduced_when_every_pair_is_significant_as_claimed(twins: Lab) -> None:
    transfer(twins, {"alex": 60, "res": 80}, {"alex": 40, "res": 50})
    claim = judged(twins)
    assert claim.verdict == "reproduced"
    assert verdicts(claim) == [("MI, AlexNet", "reproduced"), ("MI, ResNet", "reproduced")]
    first, second = (comparison.means for comparison in claim.comparisons)
    assert first is not None
    assert second is not None
    assert (first.first, first.second, first.n) == (0.6, 0.4, N)
    # 20 and 30 images that only the network without BN fools, as many throws of a coin; Holm doubles the smallest.
    assert (first.p_value, second.p_value) == pytest.approx((2 / 2**20, 2 / 2**30))
    assert [c.adjusted for c in claim.comparisons] == [pytest.approx(2 / 2**20), pytest.approx(4 / 2**30)]
    assert claim.needed_n is None


def test_one_significant_pair_against_it_contradicts_a_claim(twins: Lab) -> None:
    transfer(twins, {"alex": 90, "res": 50}, {"alex": 40, "res": 80})
    claim = judged(twins)
    assert claim.verdict == "contradicted"
    assert verdicts(claim) == [("MI, AlexNet", "reproduced"), ("MI, ResNet", "contradicted")]
    assert (claim.holding, claim.count("reproduced"), claim.count("contradicted")) == (1, 1, 1)


def test_an_undecided_pair_makes_a_claim_underpowered_and_tells_how_many_images_would_decide(twins: Lab) -> None:
    transfer(twins, {"alex": 60, "res": 53}, {"alex": 40, "res": 50})
    claim = judged(twins)
    assert claim.verdict == "underpowered"
    assert verdicts(claim) == [("MI, AlexNet", "reproduced"), ("MI, ResNet", "underpowered")]
    # 3 of 100 images, all on one side: the one undecided pair may use the whole level.
    assert claim.needed_n == needed_images(0.03, 0.03)
    assert claim.needed_n == 323
    assert [c.needed_n for c in claim.comparisons] == [None, claim.needed_n]


def test_two_undecided_pairs_share_the_level(twins: Lab) -> None:
    transfer(twins, {"alex": 52, "res": 53}, {"alex": 50, "res": 50})
    claim = judged(twins)
    assert [c.needed_n for c in claim.comparisons] == [
        needed_images(0.02, 0.02, level=0.025), needed_images(0.03, 0.03, level=0.025),
    ]  # fmt: skip
    assert claim.needed_n == claim.comparisons[0].needed_n


def test_a_difference_that_does_not_survive_the_correction_is_undecided(twins: Lab) -> None:
    # p = 0.031 for 6 images on one side, and 0.062 for two such pairs.
    transfer(twins, {"alex": 56, "res": 56}, {"alex": 50, "res": 50})
    assert judged(twins, where={"relation": "other-architecture", "target": "alex"}).verdict == "reproduced"
    assert judged(twins).verdict == "underpowered"


def test_pairs_without_a_difference_need_infinitely_many_images(twins: Lab) -> None:
    transfer(twins, {"alex": 50}, {"alex": 50})
    claim = judged(twins)
    assert (claim.verdict, claim.needed_n, claim.holding) == ("underpowered", float("inf"), 0)


def test_a_pair_that_lacks_a_record_leaves_the_claim_not_run(twins: Lab) -> None:
    transfer(twins, {"alex": 90, "res": None}, {"alex": 40, "res": 50})
    claim = judged(twins)
    assert claim.verdict == "not run"
    assert verdicts(claim) == [("MI, AlexNet", "reproduced"), ("MI, ResNet", "not run")]
    assert claim.comparisons[1].detail == "1 of 2 records missing"


def test_a_pair_against_the_claim_contradicts_it_whatever_else_is_missing(twins: Lab) -> None:
    transfer(twins, {"alex": 40, "res": None}, {"alex": 90, "res": 50})
    claim = judged(twins)
    assert claim.verdict == "contradicted"
    # The missing pair counts in Holm's correction, so that running it cannot take the verdict back.
    means = claim.comparisons[0].means
    assert means is not None
    assert claim.comparisons[0].adjusted == pytest.approx(2 * means.p_value)


def test_a_failed_record_says_why(twins: Lab) -> None:
    transfer(twins, {"alex": None}, {"alex": 50})
    (cell,) = (cell for cell in twins.planned if cell.surrogate == "vgg" and cell.mode == "transfer")
    twins.store.fail(cell.id, "images left the ball by 0.1")
    (comparison,) = judged(twins).comparisons
    assert (comparison.verdict, comparison.missing) == ("not run", "failed")
    assert comparison.detail == "1 of 2 records failed: images left the ball by 0.1"


# --- pairs and sides ----------------------------------------------------------------------------------------------


def test_pairs_agree_in_what_is_matched_and_stand_in_the_order_of_the_suite(twins: Lab) -> None:
    for attack in ("I", "MI"):
        transfer(twins, {"alex": 60, "res": 70}, {"alex": 40, "res": 40}, attack)
    claim = judged(twins)
    assert [key for key, _ in verdicts(claim)] == ["I, AlexNet", "I, ResNet", "MI, AlexNet", "MI, ResNet"]
    for comparison in claim.comparisons:
        assert {cell.surrogate for cell in comparison.pair.greater} == {"vgg"}
        assert {cell.surrogate for cell in comparison.pair.than} == {"vgg-bn"}
        assert len({(cell.attack, cell.target) for cell in comparison.pair.cells}) == 1


def test_what_only_one_side_has_is_left_out_and_told(twins: Lab) -> None:
    transfer(twins, {"alex": 60, "res": 70}, {"alex": 40})
    claim = judged(twins)
    assert verdicts(claim) == [("MI, AlexNet", "reproduced")]
    assert claim.alone == ("Digits, MI, ResNet",)


def test_a_side_takes_the_mean_over_what_it_averages_image_by_image(twins: Lab) -> None:
    transfer(twins, {"alex": 60, "res": 80}, {"alex": 40, "res": 50})
    claim = judged(twins, match=["attack"], average="target")
    (comparison,) = claim.comparisons
    plain, batch = np.array([strong(60), strong(80)]).T, np.array([strong(40), strong(50)]).T
    assert comparison.means == compare_means(~plain, ~batch)
    assert comparison.means is not None
    assert comparison.means.difference == pytest.approx(0.7 - 0.45)
    assert claim.verdict == "reproduced"


def test_seeds_are_averaged_without_asking(twins: Lab) -> None:
    for seed, hits in enumerate((60, 70)):
        twins.attack("vgg", "alex", strong(hits), "MI", seed=seed)
        twins.attack("vgg-bn", "alex", strong(40), "MI", seed=seed)
    (comparison,) = judged(twins).comparisons
    assert comparison.means is not None
    assert comparison.means.first == pytest.approx(0.65)
    assert len(comparison.pair.cells) == 4


def test_only_images_that_count_for_both_sides_are_compared(lab: Lab) -> None:
    """Surrogates that differ in what they get right, so that they would not count the same images."""
    lab.model("a", bn="N")
    lab.model("b", bn="Y")
    lab.model("t")
    lab.judge_clean("a", [T, T, F, T])
    lab.judge_clean("b", [T, F, T, T])
    lab.judge_clean("t", [T, T, T, F])
    lab.attack("a", "t", [F, F, T, F])
    lab.attack("b", "t", [T, T, T, F])
    keys: dict[str, Any] = {"where": {}, "match": []}
    counts = {"all": 4, "own-correct": 3, "surrogate-correct": 2, "common-correct": 1}
    for denominator, n in counts.items():
        (comparison,) = judged(lab, denominator=denominator, **keys).comparisons
        assert comparison.means is not None
        assert comparison.means.n == n
    lab.datasets[0] = lab.datasets[0].model_copy(update={"keep": "all-correct"})
    (comparison,) = judged(lab, denominator="all", **keys).comparisons
    assert comparison.means is not None
    assert (comparison.means.n, comparison.means.first, comparison.means.second) == (1, 1.0, 0.0)


def test_no_image_in_common_is_no_test(lab: Lab) -> None:
    for name, bn, clean in (("a", "N", [T, T, F, F]), ("b", "Y", [F, F, T, T])):
        lab.model(name, bn=bn)
        lab.judge_clean(name, clean)
        lab.attack(name, name, [F] * 4)
    (comparison,) = judged(lab, where={}, match=[], mode="whitebox").comparisons
    assert (comparison.verdict, comparison.missing) == ("not run", "undefined")
    assert comparison.detail == "no image counts in all its cells"


def whitebox(lab: Lab, correct: dict[str, Sequence[bool]]) -> Lab:
    for name, right in correct.items():
        lab.model(name, bn="N" if name == "plain" else "Y")
        lab.judge_clean(name, [T] * 9 + [name == "plain"])
        lab.attack(name, name, right)
    return lab


@pytest.mark.parametrize(("value", "sign"), [("robust_accuracy", 1), ("robust_error", -1), ("attack_success_rate", -1)])
def test_white_box_claims_are_mcnemar_tests_of_what_the_metric_counts(lab: Lab, value: str, sign: int) -> None:
    plain, batch = [T] * 8 + [F] * 2, [F] * 7 + [T] * 1 + [F] * 2
    lab = whitebox(lab, {"plain": plain, "batch": batch})
    (comparison,) = judged(lab, value=value, denominator="all", where={}, match=["attack"]).comparisons
    expected = mcnemar(plain, batch)
    assert comparison.means is not None
    assert comparison.means.p_value == expected.p_value
    assert comparison.means.difference == pytest.approx(sign * expected.difference)
    assert comparison.verdict == ("reproduced" if sign > 0 else "contradicted")


def test_clean_accuracy_is_compared_without_attacks(lab: Lab) -> None:
    lab = whitebox(lab, {"plain": [F] * 10, "batch": [F] * 10})
    claim = judged(lab, value="clean_accuracy", where={}, match=[])
    (means,) = claim.tests
    assert (means.first, means.second, means.p_value) == (1.0, 0.9, 1.0)
    assert 'claim "B11": "attack" means nothing for clean accuracy' in mistake(
        lab, value="clean_accuracy", where={"attack": "PGD"}
    )
    assert '"target" means nothing for clean accuracy' in mistake(lab, value="clean_accuracy", match="target", where={})
    assert "mode means nothing" in mistake(lab, value="clean_accuracy", mode="whitebox", match=[], where={})


def test_data_sets_are_never_mixed(lab: Lab) -> None:
    lab.data("Letters")
    for name, bn in (("a", "N"), ("b", "Y")):
        lab.model(name, bn=bn)
        for data in ("Digits", "Letters"):
            lab.judge_clean(name, [T] * 4, data)
            lab.attack(name, name, [F] * 4, data=data)
    claim = judged(lab, where={}, match=[])
    assert [c.pair.match for c in claim.comparisons] == [{"dataset": "Digits"}, {"dataset": "Letters"}]


def test_white_box_and_transfer_can_be_the_two_sides(twins: Lab) -> None:
    transfer(twins, {"alex": 50}, {})
    twins.attack("alex", "alex", strong(90), "MI")
    sides = {"greater": {"mode": "whitebox"}, "than": {"mode": "transfer"}}
    (comparison,) = judged(twins, match=["attack", "target"], where={}, **sides).comparisons
    assert comparison.means is not None
    assert (comparison.means.first, comparison.means.second) == (0.9, 0.5)


# --- mistakes -----------------------------------------------------------------------------------------------------

BOTH = {"greater": {"facts.bn": ["N", "Y"]}}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"greater": {"facts.nb": "N"}}, 'claim "B11": facet "facts.nb" is not known.\n     did you mean: facts.bn'),
        ({"match": ["atack"]}, "did you mean: attack"),
        ({"match": ["model"]}, '"model" means nothing in a transfer table'),
        ({"than": {"facts.bn": "Z"}}, "claim \"B11\": than: no cell has facts.bn = 'Z'.\n     known: N, Y"),
        ({"where": {"target": "Alex"}}, "where: no cell has target = 'Alex'.\n     did you mean: AlexNet"),
        ({"greater": {"facts.bn": "N", "surrogate.norm": "bn"}}, "greater: no cell of the suite fits"),
        ({"match": ["attack", "facts.bn"]}, "nothing agrees in dataset, attack, facts.bn on both sides"),
        ({"match": ["attack"]}, "greater: a side would mix several values of target: AlexNet, ResNet.\n"),
        ({"match": ["attack"]}, 'add "target" to match or to average, or choose one with where = { target = ... }'),
        ({"average": "target"}, 'average: "target" cannot both tell apart and be averaged over'),
        ({"average": "dataset"}, "data sets share no images"),
        ({"average": "epsilon"}, 'no mean is taken over "epsilon"'),
        ({"average": "model"}, 'no mean is taken over "model"'),
        ({**BOTH, "average": "surrogate"}, "MI of vgg-bn on alex is on both sides"),
        ({"mode": "whitebox"}, "the suite has no section [whitebox]"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_a_mistake(twins: Lab, keys: dict[str, Any], message: str) -> None:
    transfer(twins, {"alex": 60, "res": 80}, {"alex": 40, "res": 50})
    assert message.replace("MI of", "MI L∞ 8/255 of") in mistake(twins, **keys)


def test_names_of_claims_are_unique_and_keep_their_files_to_themselves(twins: Lab) -> None:
    transfer(twins, {"alex": 60, "res": 80}, {"alex": 40, "res": 50})
    with pytest.raises(HarnessError, match="two claims have this name"):
        report(twins, CLAIM, CLAIM)
    table = {"name": "claims", "rows": ["surrogate.norm"], "columns": ["target"]}
    with pytest.raises(HarnessError, match="name the table otherwise"):
        render(twins.suite(claims=[CLAIM]).model_validate({
            **twins.suite(claims=[CLAIM]).model_dump(), "tables": [table],
        }), twins.cells(), twins.store)  # fmt: skip


def test_the_suite_file_alone_tells_of_unknown_facets(twins: Lab) -> None:
    transfer(twins, {"alex": 60}, {"alex": 40})
    suite = twins.suite(models=[{"name": "vgg", "id": "zoo:vgg", "facts": {"bn": "N"}}])
    check_claim(ClaimSpec.model_validate(CLAIM), suite)
    with pytest.raises(HarnessError, match="did you mean: attack"):
        check_claim(ClaimSpec.model_validate({**CLAIM, "match": ["atack"]}), suite)


# --- what is printed and written ------------------------------------------------------------------------------------


@pytest.fixture
def four(twins: Lab) -> Report:
    """One claim of every verdict."""
    transfer(twins, {"alex": 60, "res": 53}, {"alex": 40, "res": 50})
    transfer(twins, {"alex": 40, "res": None}, {"alex": 60, "res": 50}, "I")

    def about(name: str, **where: str) -> dict[str, Any]:
        return {**CLAIM, "name": name, "where": {"relation": "other architecture", **where}}

    return report(
        twins,
        about("good", attack="MI", target="alex"),
        about("bad", attack="I", target="alex"),
        about("small", attack="MI"),
        {**about("open", attack="I", target="res"), "text": None},
    )


def test_the_page_has_a_line_per_claim_and_a_table_of_its_pairs(four: Report) -> None:
    page = four.page()
    assert page.index("## Tables") < page.index("## Claims") < page.index("## How to read the numbers")
    section = page[page.index("## Claims") : page.index("### good")]
    assert read_pipes(section) == [
        ["Claim", "Verdict", "As claimed", "Significant", "Against", "Difference", "Largest p", "Images needed"],
        ["good", "reproduced", "1 of 1", "1", "0", "+20.0", "<0.0001", ""],
        ["bad", "contradicted", "0 of 1", "0", "1", "-20.0", "<0.0001", ""],
        ["small", "underpowered", "2 of 2", "1", "0", "+3.0 to +20.0", "0.25", "323"],
        ["open", "not run", "–", "–", "–", "–", "–", ""],
    ]
    small = page[page.index("### small: underpowered") : page.index("### open")]
    assert "Substitutes without BN transfer better" in small
    head, first, second = read_pipes(small)
    assert head == ["Attack", "Target", "Verdict", "bn = N", "bn = Y", "Difference", "n", "p", "Images needed"]
    assert first[:5] == ["MI", "AlexNet", "reproduced", "60.0", "40.0"]
    assert second[:3] + second[6:] == ["MI", "ResNet", "underpowered", "100", "0.25", "323"]
    means = four.claims[2].tests[1]
    assert second[5] == f"+3.0 ({100 * means.low:+.1f} to {100 * means.high:+.1f})"
    assert "Attack success rate of the images" not in page
    assert "in percent of the images that the target classifies correctly when clean; where Relation = other" in small
    assert "open: 1 of 1 pairs without a test (Digits, I, ResNet: 1 of 2 records missing)." in page
    assert (
        "Attack success rate is greater where bn = N than where bn = Y, both where Relation = other architecture, "
        "Attack = I, Target = res\n"
    ) in page


def test_a_suite_without_claims_has_no_word_of_them(twins: Lab) -> None:
    transfer(twins, {"alex": 60}, {"alex": 40})
    made = report(twins)
    assert made.claims == ()
    assert "laim" not in made.page()


def test_the_terminal_shows_one_line_per_claim(four: Report) -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=160)
    console.print(terminal_claims(four.claims))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.split() for line in printed.splitlines()]
    assert ["small", "underpowered", "2", "of", "2", "1", "0", "+3.0", "to", "+20.0", "0.25", "323"] in lines
    assert "bad: Substitutes without BN transfer better" in printed
    assert HOW_TO_READ[1].split(":")[0] in printed


def test_files_of_claims_stand_beside_the_tables(four: Report, tmp_path: Path) -> None:
    files = [file.name for file in write(four, tmp_path, ["csv", "json"])]
    assert files == ["report.md", "transfer.csv", "transfer.json", "claims.csv", "claims.json"]
    assert "claims.csv" not in [file.name for file in write(four, tmp_path / "other", ["latex"])]
    good, _, small, unfinished = json.loads((tmp_path / "claims.json").read_text("utf-8"))
    assert (good["verdict"], good["needed_n"]) == ("reproduced", None)
    (pair,) = good["pairs"]
    assert (pair["greater"], pair["than"], pair["difference"], pair["n"]) == (0.6, 0.4, pytest.approx(0.2), N)
    assert pair["match"] == {"dataset": "Digits", "attack": "MI", "target": "AlexNet"}
    assert len(pair["records_greater"]) == len(pair["records_than"]) == 1
    assert small["needed_n"] == small["pairs"][1]["needed_n"] == 323
    assert unfinished["pairs"][0]["missing"] == "not run"
    assert unfinished["pairs"][0]["p_adjusted"] is None


def test_csv_has_a_line_per_pair(four: Report, tmp_path: Path) -> None:
    write(four, tmp_path, ["csv"])
    lines = list(csv.DictReader(io.StringIO((tmp_path / "claims.csv").read_text("utf-8"))))
    assert [(line["claim"], line["target"], line["verdict"]) for line in lines] == [
        ("good", "AlexNet", "reproduced"), ("bad", "AlexNet", "contradicted"), ("small", "AlexNet", "reproduced"),
        ("small", "ResNet", "underpowered"), ("open", "ResNet", "not run"),
    ]  # fmt: skip
    assert (lines[3]["n"], lines[3]["needed_n"], lines[3]["claim_verdict"]) == ("100", "323", "underpowered")
    assert lines[4]["n"] == lines[4]["greater"] == ""


def test_samples_are_read_for_claims_only_where_they_are_needed(twins: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer(twins, {"alex": 60, "res": 80}, {"alex": 40, "res": 50})
    read: list[str] = []
    original = twins.store.outcomes

    def noted(id: str) -> pd.DataFrame:
        read.append(id)
        return original(id)

    monkeypatch.setattr(twins.store, "outcomes", noted)
    report(twins, {**CLAIM, "where": {"target": "alex"}}, {**CLAIM, "name": "again", "where": {"target": "alex"}})
    assert len(read) == len(set(read)) == 2
