"""The papers' numbers beside a suite's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.metrics.estimate import Estimate, wilson
from harness.report import Table, render
from harness.report.compare import against_of
from harness.report.csv_file import compared_frame
from harness.report.table import Entry
from harness.spec import TableSpec

from .lab import Lab
from .printed import TARGETS, transfer_lab


def compared(lab: Lab, reference: str, **keys: Any) -> Table:
    spec = TableSpec.model_validate({"reference": reference, **keys})
    return render(lab.suite(spec), lab.cells(), lab.store).comparisons[0]


def entry(table: Table, row: int, column: str) -> Entry:
    return table.rows[row - 1].entries[[header[0] for header in table.columns].index(column)]


def test_differences_are_ours_less_the_papers_in_percentage_points(table4: Lab) -> None:
    made = compared(table4, "benz2021/4")
    alexnet = entry(made, 1, "AlexN")
    assert alexnet.printed is not None
    assert alexnet.printed.text == "28.7"
    assert alexnet.difference == pytest.approx(30.0 - 28.7)
    assert entry(made, 1, "Avg").difference == pytest.approx(100 * (6 + 20 + 4 * 14) / 120 - 77.4)


def test_stars_are_of_the_papers_number_alone(table4: Lab) -> None:
    star = entry(compared(table4, "benz2021/4"), 1, "VGG16")
    assert star.printed is not None
    assert star.printed.text == "100*"
    assert star.difference == 0


def test_pairs_are_compared_one_by_one(table1: Lab) -> None:
    made = compared(table1, "benz2021/2", where={"norm": "l2"})
    clean, robust = entry(made, 3, "BN").parts
    assert clean.printed is not None
    assert robust.printed is not None
    assert (clean.printed.text, robust.printed.text) == (clean.printed.value.value, robust.printed.value.value)
    assert clean.difference == pytest.approx(90 - clean.printed.value.number)
    assert robust.difference == pytest.approx(25 - robust.printed.value.number)


def test_the_summary_counts_what_both_have(tmp_path: Path) -> None:
    made = compared(transfer_lab(tmp_path, targets=TARGETS[:2]), "benz2021/4")
    against = made.against
    assert against is not None
    # Two of seven columns in eight rows; the mean needs all six targets.
    assert (against.printed, against.compared) == (56, 16)
    ours = {("AlexN", "Y"): 30.0, ("AlexN", "N"): 40.0, ("VGG16", "Y"): 70.0, ("VGG16", "N"): 80.0}
    paper = {
        "AlexN": (28.7, 39.5, 24.7, 41.5, 34.4, 44.1, 28.7, 45.1),
        "VGG16": (100, 99.8, 73.3, 99.6, 100, 99.7, 86.9, 99.1),
    }
    gaps = [
        abs(value - (100.0 if column == "VGG16" and row in (0, 4) else ours[column, "YN"[row % 2]]))
        for column, values in paper.items()
        for row, value in enumerate(values)
    ]
    assert against.mean_absolute == pytest.approx(sum(gaps) / 16)
    assert f"Mean absolute difference: {sum(gaps) / 16:.1f} percentage points" in made.notes[1]


def test_directions_are_those_of_the_papers_own_numbers(table4: Lab) -> None:
    made = compared(table4, "benz2021/4")
    assert made.against is not None
    # Without BN the lab's sources transfer better to every other architecture, as they do in the paper.
    assert made.against.directions == {"B11": (10, 10), "B12": (12, 12), "B13": (4, 4)}
    assert any("B11 10 of 10, B12 12 of 12, B13 4 of 4" in note for note in made.notes)


def test_numbers_of_ours_that_are_equal_have_no_direction(table4: Lab) -> None:
    made = compared(table4, "benz2021/4")
    equal = tuple(
        replace(row, entries=tuple(replace(entry, estimate=wilson(11, 20)) for entry in row.entries))
        for row in made.rows
    )
    assert dict(against_of(replace(made, rows=equal)).directions) == {"B11": (0, 10), "B12": (0, 12), "B13": (0, 4)}


def test_an_exact_match_differs_by_nothing(table4: Lab) -> None:
    made = entry(compared(table4, "benz2021/4"), 1, "DN")
    assert made.printed is not None
    assert made.printed.text == "81.7"
    assert f"{replace(made, estimate=Estimate(0.817, 0.8, 0.9, 1000)).difference:+.1f}" == "+0.0"


def test_the_papers_numbers_are_exported_without_noise(table4: Lab) -> None:
    paper = compared_frame(compared(table4, "benz2021/4"))["paper"]
    assert [value for value in paper if len(str(value)) > 5] == []


def test_a_direction_against_the_paper_does_not_count(table1: Lab) -> None:
    made = compared(table1, "benz2021/10")
    assert made.against is not None
    # Under FGSM the paper's network with BN is the more robust one; the lab's two are equal.
    assert made.against.directions == {"B21": (0, 1)}


def test_printed_numbers_inside_our_interval_are_counted_up_to_their_rounding(table4: Lab) -> None:
    made = compared(table4, "benz2021/4")
    # Of 20 images the lab has 6 (30%), 8, 14, 16 and 20 wrong; these are the ends of Wilson's interval.
    ends = {30: (14.5, 51.9), 40: (21.9, 61.3), 70: (48.1, 85.5), 80: (58.4, 91.9), 100: (83.9, 100.0)}
    places = [part for row in made.rows for part in row.entries[:-1]]
    inside = [
        low <= part.printed.value.number <= high
        for part in places
        if part.printed and part.estimate
        for low, high in [ends[round(100 * part.estimate.value)]]
    ]
    # And the means of the sources with BN.
    means = [row.entries[-1] for row in made.rows]
    assert [_within(one) for one in means] == [True, False, True, False, False, False, True, False]
    assert against_of(made).within == sum(inside) + 3


def _within(mean: Entry) -> bool:
    assert mean.estimate is not None
    assert mean.printed is not None
    return 100 * mean.estimate.low <= mean.printed.value.number <= 100 * mean.estimate.high


def test_nothing_to_compare_has_no_mean(table1: Lab) -> None:
    lab = table1
    made = compared(lab, "benz2021/1", part={"dataset": "cifar10", "arch": "vgg11"})
    assert made.against is not None
    assert made.against.compared == 6
    assert against_of(compared(lab, "benz2021/10", part={"arch": "vgg11"})).compared == 4


def test_comparisons_have_names_of_their_own(table4: Lab) -> None:
    lab = table4
    made = render(lab.suite(TableSpec(reference="benz2021/4")), lab.cells(), lab.store)
    assert [table.name for table in (*made.tables, *made.comparisons)] == ["benz2021-4", "benz2021-4-compared"]
    assert "## Beside the papers' numbers" in made.page()
