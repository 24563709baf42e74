"""Claims of papers by their ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.report import Claim, render
from harness.report.claim_files import claims_csv, claims_json
from harness.report.claim_texts import claims_section
from harness.report.pairing import pair_up
from harness.spec import ClaimSpec

from .lab import Lab
from .printed import IMAGES, TARGETS, transfer_lab, wrong

EXPLICIT: dict[str, dict[str, Any]] = {
    "B11": {
        "where": {"surrogate": "VGG16", "relation": "other architecture"}, "match": ["attack", "target"],
    },
    "B12": {"where": {"surrogate": "ResNet18"}, "match": ["attack", "target"]},
    "B13": {"match": ["surrogate", "attack"], "average": ["target"]},
}  # fmt: skip
"""What a suite would write without the papers' claims, besides norm on both sides."""

OWN: dict[str, Any] = {"greater": {"surrogate.norm": "none"}, "than": {"surrogate.norm": "bn"}}
"""The norms of both sides."""


def judged(lab: Lab, **keys: Any) -> Claim:
    return render(lab.suite(claims=[keys]), lab.cells(), lab.store).claims[0]


def results(claim: Claim) -> list[tuple[float, float]]:
    return sorted((one.means.difference, one.adjusted) for one in claim.comparisons if one.means)


def problem(lab: Lab, id: str) -> str:
    with pytest.raises(HarnessError) as caught:
        pair_up(ClaimSpec.model_validate({"paper": id}), lab.cells())
    return str(caught.value)


@pytest.mark.parametrize("id", EXPLICIT)
def test_a_claim_by_its_id_is_the_claim_written_out(table4: Lab, id: str) -> None:
    lab = table4
    written = {
        "name": "written", "value": "attack_success_rate", "denominator": "all", **OWN, **EXPLICIT[id],
    }  # fmt: skip
    ours, theirs = judged(lab, paper=id), judged(lab, **written)

    def pairs(claim: Claim) -> set[tuple[frozenset[str], frozenset[str]]]:
        ids = [([cell.id for cell in c.pair.greater], [cell.id for cell in c.pair.than]) for c in claim.comparisons]
        return {(frozenset(greater), frozenset(than)) for greater, than in ids}

    assert pairs(ours) == pairs(theirs)
    assert ours.verdict == theirs.verdict
    assert ours.denominator == "all"
    results = [
        sorted((c.means.difference, c.adjusted) for c in claim.comparisons if c.means) for claim in (ours, theirs)
    ]
    assert results[0] == results[1]


def test_pairs_are_called_as_the_suite_calls_them(table4: Lab) -> None:
    claim = judged(table4, paper="B11")
    assert claim.spec.name == "B11"
    assert len(claim.comparisons) == 10
    assert dict(claim.comparisons[0].pair.match) == {
        "dataset": "Cifar (JPEG)", "surrogate": "VGG16", "attack": "I", "target": "ALEXNET",
    }  # fmt: skip
    page = claims_section([claim])
    assert "Substitutes without BN transfer better: VGG16 source" in page
    assert "(benz2021, table 4)" in page


def test_less_swaps_the_sides(table1: Lab) -> None:
    claim = judged(table1, paper="B01")
    # BN raises clean accuracy: 18 of 20 with it, 16 without.
    (comparison,) = claim.comparisons
    assert claim.spec.value == "clean_accuracy"
    assert comparison.means is not None
    assert (comparison.means.first, comparison.means.second) == (0.9, 0.8)


def test_errors_are_compared_as_the_paper_compares_them(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    for name, training, errors in (("normal", "normal", 1), ("adv", "adv", 6)):
        lab.model(name, label="ResNet20", paper={"training": training})
        lab.judge_clean(name, wrong(errors), data=data)
    (comparison,) = judged(lab, paper="W02").comparisons
    # Adversarial training raises the clean error.
    assert comparison.means is not None
    assert (comparison.means.first, comparison.means.second) == (0.3, 0.05)


def test_pairs_that_the_suite_lacks_are_counted(tmp_path: Path) -> None:
    claim = judged(transfer_lab(tmp_path, targets=TARGETS[:3]), paper="B11")
    assert (len(claim.comparisons), claim.absent) == (4, 6)
    assert "6 of the paper's 10 pairs are no part of this suite" in claims_section([claim])
    content = json.loads(claims_json([claim]))[0]
    assert (content["paper"], content["absent"], len(content["pairs"])) == ("B11", 6, 4)
    assert len(claims_csv([claim]).splitlines()) == 5


def test_pairs_that_agree_in_all_else_are_told_apart(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = lab.data("imagenet", samples=IMAGES)
    lab.called("I", attack="i-fgsm")
    for name, training in (("plain", "standard"), ("l2", "l2_eps3.0"), ("linf", "linf_eps4")):
        lab.model(name, label="ResNet50", paper={"training": training})
        lab.judge_clean(name, wrong(1), data=data)
    targets = ("densenet121", "vgg19", "resnet152", "mobilenet_v2", "inception_v3")
    for target in targets:
        lab.model(target)
        lab.judge_clean(target, wrong(1), data=data)
        for source in ("plain", "l2", "linf"):
            lab.attack(source, target, wrong(9), "I", data=data)
    claim = judged(lab, paper="B23")
    assert len(claim.comparisons) == 10
    trainings = {comparison.pair.match["training"] for comparison in claim.comparisons}
    assert trainings == {"l2_eps3.0 against standard", "linf_eps4 against standard"}


def test_models_that_the_suite_calls_differently_are_both_named(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    for norm, label in (("none", "Plain"), ("bn", "Normalized")):
        lab.model(norm, label=label, norm=norm, paper={"arch": "vgg11"})
        lab.judge_clean(norm, wrong(2), data=data)
    (comparison,) = judged(lab, paper="B01").comparisons
    assert comparison.pair.match["model"] == "Normalized against Plain"


def test_all_images_count_whatever_the_suite_keeps_for_its_own_tables(tmp_path: Path) -> None:
    lab = transfer_lab(tmp_path, keep="all-correct")
    claim, own = render(
        lab.suite(
            claims=[{"paper": "B11"}, {"name": "own", "value": "attack_success_rate", **OWN, **EXPLICIT["B11"]}]
        ),
        lab.cells(), lab.store,
    ).claims  # fmt: skip
    assert {comparison.means.n for comparison in claim.comparisons if comparison.means} == {IMAGES}
    assert {comparison.means.n for comparison in own.comparisons if comparison.means} == {IMAGES - 2}
    page = claims_section([claim, own])
    assert "- own: only images that every model of the suite classifies correctly when clean are counted." in page
    assert "B11: only images" not in page


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("B27", "is a trend, and no comparison of printed numbers"),
        ("W14", "is a trend"),
        ("A08", "the suite has none of the 10 pairs"),
        ("B17", "the suite has none of the 12 pairs"),
        ("B99", "no paper claims"),
        ("B08", "the suite has none of the 20 pairs"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(table4: Lab, id: str, words: str) -> None:
    assert words in problem(table4, id)
