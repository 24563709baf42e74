"""Tables and claims on feature sets: clean accuracies, paired by the images that the sets were made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.report import Claim, check, render
from harness.report.claim_texts import claims_section
from harness.report.lines import lines
from harness.spec import TableSpec

from .lab import Lab
from .printed import IMAGES, wrong

NORMS = ("none", "bn", "in", "ln", "gn")
TRAININGS = ("standard", "adversarial")
ORIGIN = "f" * 64


def errors(source: str, target: str, training: str) -> int:
    """Wrong ones of 20: features of None transfer best, of IN worst; those of adversarial training better still."""
    return {"none": 4, "in": 18}.get(source, 10) + {"none": 0, "bn": 1}.get(target, 0) - 3 * (training == "adversarial")


def features_lab(path: Path, norms: tuple[str, ...] = NORMS, origin: str = ORIGIN) -> Lab:
    """Tables 7 and 8 of benz2021: every network on every feature set."""
    lab = Lab(path)
    for training in TRAININGS:
        for norm in norms:
            lab.model(f"{norm}-{training}", label=norm, norm=norm, paper={"arch": "vgg16", "training": training})
    for training in TRAININGS:
        for source in norms:
            data = lab.data(f"D {source} {training}", samples=IMAGES, origin=origin, dataset="cifar10", norm=source,
                            training=training)  # fmt: skip
            for model in list(lab.models):
                lab.judge_clean(model.name, wrong(errors(source, model.label, training)), data=data)
    return lab


def rows(lab: Lab, **keys: Any) -> list[list[str]]:
    made = render(lab.suite(TableSpec.model_validate(keys)), lab.cells(), lab.store).tables[0]
    return [[place.parts[0].value for place in line.places] for line in lines(made)]


def judged(lab: Lab, **keys: Any) -> Claim:
    return render(lab.suite(claims=[keys]), lab.cells(), lab.store).claims[0]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A suite that fills both tables; read only."""
    return features_lab(tmp_path_factory.mktemp("features"))


def test_rows_are_targets_columns_are_sources_and_a_networks_own_features_are_a_dash(features: Lab) -> None:
    assert rows(features, reference="benz2021/7") == [
        ["-", "50.0", "10.0", "50.0", "50.0"],
        ["75.0", "-", "5.0", "45.0", "45.0"],
        ["80.0", "50.0", "-", "50.0", "50.0"],
        ["80.0", "50.0", "10.0", "-", "50.0"],
        ["80.0", "50.0", "10.0", "50.0", "-"],
    ]


def test_the_corner_names_both_axes(features: Lab) -> None:
    spec = TableSpec(reference="benz2021/7")
    made = render(features.suite(spec), features.cells(), features.store).tables[0]
    assert made.row_headers == ("Target / Source",)


def test_table_8_has_features_of_adversarially_trained_networks_on_networks_of_this_training(features: Lab) -> None:
    assert rows(features, reference="benz2021/8")[1] == ["90.0", "-", "20.0", "60.0", "60.0"]


def test_beside_the_papers_numbers_the_diagonal_is_empty(features: Lab) -> None:
    suite = features.suite(TableSpec(reference="benz2021/7"))
    (beside,) = render(suite, features.cells(), features.store).comparisons
    ours, paper, difference = list(lines(beside))[:3]
    texts = [[place.text for place in line.places][:2] for line in (ours, paper, difference)]
    assert texts == [["-", "50.0 ±20.1"], ["-", "45.6"], ["", "+4.4"]]
    assert beside.against is not None
    assert (beside.against.compared, beside.against.printed) == (20, 20)


def test_images_that_are_no_features_are_no_part_of_these_tables_nor_features_of_others(tmp_path: Path) -> None:
    lab = features_lab(tmp_path, norms=("none", "bn"))
    data = lab.data("Test", samples=IMAGES, dataset="cifar10")
    for model in list(lab.models):
        lab.judge_clean(model.name, wrong(1), data=data)
    assert rows(lab, reference="benz2021/7")[0] == ["-", "50.0", "n/a", "n/a", "n/a"]
    assert rows(lab, reference="benz2021/2", part={"dataset": "cifar10", "arch": "vgg16"}) == [
        ["95.0", "95.0", "n/a", "n/a", "n/a"]
    ]


@pytest.mark.parametrize(("id", "pairs"), [("B17", 12), ("B18", 12), ("B19", 20), ("B20", 3)])
def test_a_claim_on_features_compares_all_that_the_paper_prints(features: Lab, id: str, pairs: int) -> None:
    claim = judged(features, paper=id)
    assert (len(claim.comparisons), claim.alone, claim.absent) == (pairs, (), 0)
    assert claim.spec.value == "clean_accuracy"
    # Features of the network without normalization are the best ones here in either training.
    assert claim.holding == (0 if id == "B20" else pairs)


def test_pairs_of_features_are_told_in_the_papers_words(features: Lab) -> None:
    claim = judged(features, paper="B17")
    assert dict(claim.comparisons[0].pair.match) == {"target": "vgg16_bn", "norm": "none against in"}
    comparison = claim.comparisons[0].means
    assert comparison is not None
    assert (comparison.first, comparison.second, comparison.n) == (0.75, 0.05, IMAGES)
    assert "different feature sets, paired by the images that these were made from" in claims_section([claim])


def test_feature_sets_of_other_images_are_not_paired(tmp_path: Path) -> None:
    for number, origin in enumerate(("", ORIGIN)):
        lab = features_lab(tmp_path / str(number), norms=("none", "bn", "in"), origin=origin)
        if origin:
            lab.datasets[0] = lab.datasets[0].model_copy(update={"origin": "e" * 64})
        with pytest.raises(HarnessError, match=r'claim "B17": .* do not share their images'):
            judged(lab, paper="B17")


def test_a_claim_of_ones_own_compares_feature_sets_that_its_sides_name(features: Lab) -> None:
    claim = judged(
        features, name="own", value="clean_accuracy", greater={"dataset": "D none standard"},
        than={"dataset": "D in standard"}, match="model", where={"model": ["none-standard", "bn-standard"]},
    )  # fmt: skip
    assert [dict(comparison.pair.match) for comparison in claim.comparisons] == [{"model": "none"}, {"model": "bn"}]
    assert claim.holding == 2


def test_images_of_ordinary_data_sets_are_not_paired_with_each_other(lab: Lab) -> None:
    lab.data("Other")
    lab.model("m")
    lab.judge_clean("m", [True] * 4)
    lab.judge_clean("m", [False] * 4, data="Other")
    with pytest.raises(HarnessError, match="Digits and Other do not share their images"):
        judged(lab, name="own", value="clean_accuracy", greater={"dataset": "Digits"}, than={"dataset": "Other"})


# --- tables of clean accuracies ---------------------------------------------------------------------------------


def test_a_table_of_clean_accuracies_stands_beside_attacks_too(whitebox: Lab) -> None:
    assert rows(whitebox, rows=["model"], columns=["dataset"], value="clean_accuracy") == [["75.0"], ["100.0"]]
    assert rows(whitebox, rows=["dataset"], columns=["facts.bn"], value="clean_error") == [["25.0", "0.0"]]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"rows": ["attack"]}, '"attack" means nothing for clean accuracy'),
        ({"where": {"threat": "L2 0.5"}}, '"threat" means nothing for clean accuracy'),
        ({"mode": "whitebox"}, "mode means nothing for clean accuracy"),
        ({"denominator": "own-correct"}, "denominator means nothing for clean accuracy"),
        ({"clean": True}, "clean = true needs a place"),
        ({"columns": ["dataset", "mean.black-box"]}, "needs a transfer table"),
        ({"rows": ["modle"]}, "did you mean: model"),
    ],
)
def test_what_means_nothing_without_an_attack_is_refused(whitebox: Lab, keys: dict[str, Any], words: str) -> None:
    spec = TableSpec.model_validate({"rows": ["model"], "columns": ["dataset"], "value": "clean_accuracy", **keys})
    (problem,) = check(whitebox.suite(spec), whitebox.cells())
    assert words in problem
