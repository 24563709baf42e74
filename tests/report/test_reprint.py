"""Tables of papers with a suite's values: what stands where, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.papers import printed_table
from harness.report import Table, check, render
from harness.report.lines import lines
from harness.report.pairing import pair_up
from harness.spec import ClaimSpec, TableSpec

from .lab import Lab
from .printed import IMAGES, L2, SOURCES, TARGETS, transfer_lab, wrong


def reprinted(lab: Lab, reference: str, **keys: Any) -> Table:
    spec = TableSpec.model_validate({"reference": reference, **keys})
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def texts(table: Table, row: int) -> list[str]:
    """The numbers of a row, counted from 1, without intervals."""
    line = list(lines(table))[row - 1]
    return [place.entry.join.join(part.value for part in place.parts) for place in line.places]


def problems(lab: Lab, reference: str, **keys: Any) -> str:
    spec = TableSpec.model_validate({"reference": reference, **keys})
    return "\n".join(check(lab.suite(spec), lab.cells()))


def test_rows_columns_and_headers_are_the_papers(table4: Lab) -> None:
    made, paper = reprinted(table4, "benz2021/4"), printed_table("benz2021/4")
    assert made.name == "benz2021-4"
    assert made.row_headers == ("Attack", "Source", "BN")
    assert [row.header for row in made.rows] == [row.labels for row in paper.rows]
    assert [column for (column,) in made.columns] == ["AlexN", "VGG16", "RN50", "DN", "RNext", "WRN", "Avg"]
    assert [i for i, row in enumerate(made.rows, 1) if row.rule] == [2, 4, 6]


def test_every_cell_stands_where_the_paper_prints_its_like(table4: Lab) -> None:
    made = reprinted(table4, "benz2021/4")
    # 20 images: 6 of AlexNet, 14 of the others, all of the white-box target; two more without BN.
    assert texts(made, 1) == ["30.0", "100.0", "70.0", "70.0", "70.0", "70.0", "68.3"]
    assert texts(made, 2) == ["40.0", "80.0", "80.0", "80.0", "80.0", "80.0", "73.3"]
    assert texts(made, 7) == ["30.0", "70.0", "70.0", "70.0", "70.0", "70.0", "63.3"]
    assert texts(made, 8) == texts(made, 2)


def test_success_rates_count_all_images_clean_errors_included(table4: Lab) -> None:
    lab = table4
    assert texts(reprinted(lab, "benz2021/4"), 1)[0] == "30.0"
    # Two of 20 images are wrong when clean, and among the six that are wrong under attack.
    made = reprinted(lab, "benz2021/4", denominator="own-correct")
    assert texts(made, 1)[0] == f"{100 * 4 / 18:.1f}"
    assert any("which this table does not" in note for note in made.notes)


def test_what_the_suite_keeps_for_its_own_tables_does_not_matter(tmp_path: Path) -> None:
    made = reprinted(transfer_lab(tmp_path, keep="all-correct"), "benz2021/4")
    assert texts(made, 1)[0] == "30.0"
    assert not any(note.startswith("Only images") for note in made.notes)


def test_what_the_suite_does_not_have_is_not_applicable_and_so_is_its_mean(tmp_path: Path) -> None:
    made = reprinted(transfer_lab(tmp_path, targets=TARGETS[:-1]), "benz2021/4")
    assert texts(made, 1) == ["30.0", "100.0", "70.0", "70.0", "70.0", "n/a", "n/a"]
    assert any(note.startswith("n/a: printed in the paper") and "(16 of 56 numbers)" in note for note in made.notes)


def test_what_has_not_run_is_a_dash_and_so_is_its_mean(tmp_path: Path) -> None:
    lab = transfer_lab(tmp_path, targets=TARGETS[:-1])
    for attack in ("I", "MI"):
        for source in SOURCES:
            lab.attack(source, "wrn", None, attack, data="Cifar (JPEG)", mode="transfer")
    assert texts(reprinted(lab, "benz2021/4"), 1)[-2:] == ["–", "–"]


def test_seeds_are_averaged(tmp_path: Path) -> None:
    lab = transfer_lab(tmp_path)
    lab.attack("vgg16-bn", "alexnet", wrong(10), "I", data="Cifar (JPEG)", seed=1)
    assert texts(reprinted(lab, "benz2021/4"), 1)[0] == "40.0"


def test_pairs_are_joined_as_the_paper_joins_them(table1: Lab) -> None:
    made = reprinted(table1, "benz2021/2", where={"norm": "l2"})
    assert made.rows[2].header == ("CIFAR10", "VGG11")
    assert texts(made, 3) == ["80.0/50.0", "90.0/25.0", "n/a", "n/a", "n/a"]


def test_budgets_that_the_paper_prints_choose_the_cells(table1: Lab) -> None:
    made = reprinted(table1, "benz2021/1", part={"dataset": "CIFAR-10"})
    assert [row.header for row in made.rows] == [row.labels for row in printed_table("benz2021/1").rows[12:]]
    assert made.columns[1] == ("PGD l2", "0.25")
    assert texts(made, 1) == ["80.0", "50.0", "35.0", "n/a", "n/a"]
    assert texts(made, 2) == ["90.0", "25.0", "10.0", "n/a", "n/a"]


def test_a_budget_that_is_not_the_papers_is_no_part_of_its_table(table1: Lab) -> None:
    lab = table1
    assert texts(reprinted(lab, "benz2021/10"), 1) == ["80.0", "75.0"]
    assert "no cell of the suite" not in problems(lab, "benz2021/10")


def test_statistics_follow_the_views_and_groups_have_headings(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    lab.called("BIM", attack="bim")
    for name, view, right in (("p", None, 12), ("b", {"bn": "batch"}, 3)):
        lab.model(name, label="ResNet20", view=view)
        lab.judge_clean(name, wrong(1), data=data)
        lab.attack(name, name, wrong(right), "BIM", ("linf", 0.02, "L∞ 0.02"), data=data)
    made = reprinted(lab, "awais2020/1", part={"dataset": "cifar10"})
    assert [(row.heading, row.header) for row in made.rows] == [
        ("CIFAR10 (eps = 0.02, c = 0.01)", ("P",)), ("", ("B",)),
    ]  # fmt: skip
    assert texts(made, 1) == ["95.0", "n/a", "40.0", "n/a", "n/a", "n/a"]
    assert texts(made, 2)[2] == "85.0"


def two_budgets_lab(path: Path) -> Lab:
    """P and B of awais2020, Table 1, under its budget and under another that stands for it."""
    lab = Lab(path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    lab.called("BIM", attack="bim")
    lab.budget("pixel", "L∞ 0.02")
    lab.budget("standardised", "L∞ 0.005", epsilon="0.02", note="0.02 of standardised images")
    for name, view, errors in (("p", None, (12, 8)), ("b", {"bn": "batch"}, (5, 1))):
        lab.model(name, label="ResNet20", view=view)
        lab.judge_clean(name, wrong(1), data=data)
        for epsilon, count in zip((0.02, 0.005), errors, strict=True):
            lab.attack(name, name, wrong(count), "BIM", ("linf", epsilon, f"L∞ {epsilon}"), data=data)
    return lab


def test_a_threat_model_stands_for_the_budget_that_the_paper_prints_in_other_units(tmp_path: Path) -> None:
    lab = two_budgets_lab(tmp_path)
    keys = {"part": {"dataset": "cifar10"}}
    assert "several values of threat: L∞ 0.02, L∞ 0.005" in problems(lab, "awais2020/1", **keys)
    made = reprinted(lab, "awais2020/1", **keys, where={"threat": "standardised"})
    assert [texts(made, row)[2] for row in (1, 2)] == ["60.0", "95.0"]
    assert "Not as in the paper: L∞ 0.005: 0.02 of standardised images." in made.notes
    made = reprinted(lab, "awais2020/1", **keys, where={"threat": "pixel"})
    assert [texts(made, row)[2] for row in (1, 2)] == ["40.0", "75.0"]


def test_a_filter_chooses_the_cells_of_a_papers_claim(tmp_path: Path) -> None:
    lab = two_budgets_lab(tmp_path)
    keys = {"name": "A01", "paper": "A01"}
    with pytest.raises(HarnessError, match="a side would mix several values of threat: L∞ 0.02, L∞ 0.005"):
        pair_up(ClaimSpec.model_validate(keys), lab.cells())
    chosen = ClaimSpec.model_validate({**keys, "where": {"threat": "pixel"}})
    (pair,) = pair_up(chosen, lab.cells()).pairs
    assert [cell.epsilon for cell in (*pair.greater, *pair.than)] == [0.02, 0.02]
    assert [cell.target for cell in (*pair.greater, *pair.than)] == ["b", "p"]


def test_errors_are_what_accuracies_leave(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    lab.called("AutoAttack", attack="autoattack")
    lab.model("m", label="ResNet-20", paper={"training": "adv"})
    lab.judge_clean("m", wrong(5), data=data)
    lab.attack("m", "m", wrong(12), "AutoAttack", data=data)
    made = reprinted(lab, "walter2022/2", part={"training": "adv"})
    assert [row.header for row in made.rows] == [("ADV",)]
    assert texts(made, 1) == ["25.0", "60.0"]
    clean = made.rows[0].entries[0].estimate
    assert clean is not None
    assert 0 < clean.low < clean.value < clean.high < 1


def test_a_place_with_two_candidates_is_refused_and_a_filter_chooses(tmp_path: Path) -> None:
    lab = transfer_lab(tmp_path)
    lab.attack("vgg16-bn", "vgg16-none", wrong(9), "I", data="Cifar (JPEG)")
    message = problems(lab, "benz2021/4")
    assert "row 1 would mix several values of target.norm: BN, None" in message
    assert texts(reprinted(lab, "benz2021/4", where={"target.norm": "BN"}), 1)[1] == "100.0"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("benz2021/5", "lists settings"),
        ("awais2020/4", "its attack is fgsm or bim or mim or cw or pgd, the suite's is i-fgsm, mi-fgsm"),
        ("benz2021/7", "the suite has no feature set of a known network"),
        ("benz2021/44", "there is no printed table"),
        ("benz2021/3", "its dataset is imagenet, the suite's is cifar10"),
        ("benz2021/12", "its attack is di_fgsm or ti_fgsm, the suite's is i-fgsm, mi-fgsm"),
    ],
)
def test_what_a_suite_cannot_fill_is_refused_in_words(table4: Lab, reference: str, words: str) -> None:
    assert words in problems(table4, reference)


def test_a_part_that_the_table_does_not_have_is_refused(table4: Lab) -> None:
    lab = table4
    assert 'no key "network"' in problems(lab, "benz2021/4", part={"network": "vgg16"})
    assert "did you mean: resnet18" in problems(lab, "benz2021/4", part={"arch": "resnet"})


def test_two_tables_of_one_reference_need_names(table4: Lab) -> None:
    lab = table4
    suite = lab.suite(TableSpec(reference="benz2021/4"), TableSpec(reference="benz2021/4"))
    assert "two tables have this name" in check(suite, lab.cells())[0]


def test_notes_tell_what_is_not_as_in_the_paper(table4: Lab) -> None:
    made = reprinted(table4, "benz2021/4")
    assert "Not as in the paper: VGG16, ResNet18: width 16; Cifar (JPEG): re-encoded as JPEG." in made.notes
    assert any("most likely counts all attacked images" in note for note in made.notes)


def test_random_weights_are_told_by_name(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    data = lab.data("cifar10", samples=IMAGES)
    lab.model("guess", label="VGG11", random=True)
    lab.judge_clean("guess", wrong(18), data=data)
    lab.called("PGD", attack="pgd_l2")
    lab.attack("guess", "guess", wrong(19), "PGD", L2, data=data)
    assert "Random weights, never trained: guess." in reprinted(lab, "benz2021/2").notes
