"""Relative gains from batch statistics, in the layout of Table 4 of awais2020, and the claim about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.metrics.estimate import Estimate
from harness.report import Table, check, render
from harness.report.claim_files import claims_csv
from harness.report.claim_texts import claims_section
from harness.report.csv_file import frame
from harness.report.figure import draw, svg
from harness.report.lines import lines
from harness.spec import TableSpec

from .lab import THREAT, Lab
from .printed import IMAGES, wrong

WRONG = {("standard", "population"): 16, ("standard", "batch"): 10, ("adversarial", "population"): 10,
         ("adversarial", "batch"): 8}  # fmt: skip
"""Of 20 images: 4 to 10 right is a gain of 150%, 10 to 12 one of 20%."""


def gains_lab(path: Path, lacking: tuple[str, str] | None = None) -> Lab:
    """Table 4 of awais2020, CIFAR10: PGD on two networks, each with both statistics."""
    lab = Lab(path)
    data = lab.data("Cifar", samples=IMAGES, dataset="cifar10")
    lab.called("PGD-20", attack="pgd")
    for (training, stats), attacked in WRONG.items():
        name = f"{training}-{stats}"
        lab.model(name, label=name, view={"bn": stats}, paper={"arch": "resnet20", "training": training})
        lab.judge_clean(name, wrong(1), data=data)
        lab.attack(name, name, None if (training, stats) == lacking else wrong(attacked), "PGD-20", data=data)
    return lab


def made(lab: Lab, **keys: Any) -> Table:
    spec = TableSpec.model_validate({"reference": "awais2020/4", **keys})
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def texts(table: Table, row: int) -> list[str]:
    return [place.parts[0].value for place in list(lines(table))[row].places]


def test_a_gain_is_relative_to_the_accuracy_with_running_statistics(tmp_path: Path) -> None:
    table = made(gains_lab(tmp_path))
    assert texts(table, 0) == ["n/a", "n/a", "n/a", "n/a", "150.0"]
    assert texts(table, 1) == ["n/a", "n/a", "n/a", "n/a", "20.0"]
    assert texts(table, 2) == ["n/a"] * 5
    entry = table.rows[0].entries[4]
    assert entry.estimate is not None
    assert entry.estimate.low < 1.5 < entry.estimate.high
    assert [run.estimate and run.estimate.value for run in entry.runs] == [0.5, 0.2]
    assert table.notes[0] == "Relative gain in robust accuracy from batch statistics in percent; n = 20 per entry."
    assert any("delta method" in note for note in table.notes)


def test_beside_the_papers_numbers_gains_are_percentages(tmp_path: Path) -> None:
    lab = gains_lab(tmp_path)
    (table,) = render(lab.suite(TableSpec(reference="awais2020/4")), lab.cells(), lab.store).comparisons
    difference = table.rows[0].entries[4].difference
    assert difference == pytest.approx(150 - 101.7)
    assert table.against is not None
    assert dict(table.against.directions) == {"A08": (1, 1)}


def test_a_gain_without_one_of_its_accuracies_is_missing(tmp_path: Path) -> None:
    table = made(gains_lab(tmp_path, lacking=("standard", "batch")))
    assert (texts(table, 0)[4], texts(table, 1)[4]) == ("–", "20.0")


def test_files_hold_the_gain_and_the_accuracies_that_it_is_of(tmp_path: Path) -> None:
    table = made(gains_lab(tmp_path))
    values = frame(table)[["metric", "value", "attack"]].to_numpy().tolist()
    assert ["robust_accuracy", 0.5, "PGD-20"] in values
    assert ["accuracy_gain", 1.5, "PGD-20"] in values
    assert svg(table)


@pytest.mark.parametrize("value", [1.5, -0.4])
def test_figures_show_gains_above_all_and_below_nothing(value: float, tmp_path: Path) -> None:
    table = made(gains_lab(tmp_path))
    (gain,) = table.rows[0].entries[4:]
    row = replace(table.rows[0], entries=(replace(gain, estimate=Estimate(value, value, value, IMAGES)),))
    bottom, top = draw(replace(table, columns=table.columns[4:], rows=(row,))).axes[0].get_ylim()
    assert bottom < 100 * value < top


def test_several_budgets_need_a_filter(tmp_path: Path) -> None:
    lab = gains_lab(tmp_path)
    for training, stats in WRONG:
        name = f"{training}-{stats}"
        lab.attack(name, name, wrong(19), "PGD-20", ("linf", 0.1, "L∞ 0.1"), data="Cifar")
    (problem,) = check(lab.suite(TableSpec(reference="awais2020/4")), lab.cells())
    assert "several values of threat" in problem
    assert texts(made(lab, where={"threat": THREAT[2]}), 0)[4] == "150.0"


def test_the_claim_compares_the_gains_of_both_trainings_on_the_same_images(tmp_path: Path) -> None:
    lab = gains_lab(tmp_path)
    claim = render(lab.suite(claims=[{"paper": "A08"}]), lab.cells(), lab.store).claims[0]
    (comparison,) = claim.comparisons
    assert comparison.means is not None
    # "less": standard training is the side with the greater gain.
    assert [comparison.means.first, comparison.means.second] == pytest.approx([1.5, 0.2])
    assert (comparison.means.n, claim.absent) == (IMAGES, 9)
    assert [[cell.target for cell in side] for side in comparison.pair.sides] == [
        ["standard-batch", "standard-population"], ["adversarial-batch", "adversarial-population"],
    ]  # fmt: skip
    page = claims_section([claim])
    assert "150.0" in page
    assert "normal test of the delta method" in page
    assert "accuracy_gain" in claims_csv([claim])


def test_a_gain_over_nothing_is_no_number(tmp_path: Path) -> None:
    lab = gains_lab(tmp_path)
    lab.called("FGSM", attack="fgsm")
    for training, stats in WRONG:
        name = f"{training}-{stats}"
        lab.attack(name, name, wrong(IMAGES if stats == "population" else 3), "FGSM", data="Cifar")
    table = made(lab)
    assert (texts(table, 0)[0], table.rows[0].entries[0].missing) == ("–", "undefined")
    claim = render(lab.suite(claims=[{"paper": "A08"}]), lab.cells(), lab.store).claims[0]
    assert [comparison.missing for comparison in claim.comparisons] == ["undefined", ""]
