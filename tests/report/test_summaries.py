"""The last columns of tables: mean, spread and agreement."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pandas as pd
import pytest

from harness.metrics import wilson
from harness.report import Entry, Table, render
from harness.report.csv_file import csv
from harness.report.figure import svg
from harness.report.json_file import json_text
from harness.report.latex import latex
from harness.report.markdown import markdown, pipe_table
from harness.report.words import written
from harness.spec import TableSpec

from .lab import Lab
from .test_formats import printed, read_pipes
from .test_latex import rows_of

T, F = True, False


@pytest.fixture
def implementations(lab: Lab) -> Lab:
    """PGD by three implementations and CW by two, on one model and four images, all right when clean."""
    lab.model("m", label="M")
    lab.judge_clean("m", [T] * 4)
    for method, library, correct in (
        ("PGD", "ours", [T, T, F, F]),
        ("PGD", "theirs", [T, F, F, F]),
        ("PGD", "official", [F, F, F, T]),
        ("CW", "ours", [T, F, F, F]),
        ("CW", "theirs", [F, T, F, F]),
    ):
        lab.attack("m", "m", correct, f"{method} ({library})")
        lab.facts(f"{method} ({library})", method=method, by=library)
    return lab


def table(lab: Lab, *summaries: str, **keys: Any) -> Table:
    spec = TableSpec.model_validate(
        {"rows": ["attack.facts.method"], "columns": ["attack.facts.by", *summaries], "clean": False, **keys}
    )
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def texts(made: Table, last: int) -> list[list[str]]:
    return [[written(entry, 1).text for entry in row.entries[-last:]] for row in made.rows]


def test_facts_of_attacks_make_rows_and_columns(implementations: Lab) -> None:
    made = table(implementations)
    assert made.row_headers == ("method",)
    assert made.column_headers == ("by",)
    assert made.columns == (("ours",), ("theirs",), ("official",))
    assert [row.header for row in made.rows] == [("PGD",), ("CW",)]
    assert [[written(entry, 0).value for entry in row.entries] for row in made.rows] == [
        ["50", "25", "25"], ["25", "25", ""],
    ]  # fmt: skip


def test_facts_of_attacks_filter(implementations: Lab) -> None:
    made = table(implementations, where={"attack.facts.by": ["ours", "theirs"], "attack.facts.method": "CW"})
    assert made.columns == (("ours",), ("theirs",))
    assert [row.header for row in made.rows] == [("CW",)]


def test_spread_is_the_largest_minus_the_smallest_value_without_an_interval(implementations: Lab) -> None:
    made = table(implementations, "spread")
    assert made.columns[-1] == ("Spread",)
    assert texts(made, 1) == [["25.0"], ["0.0"]]
    assert "Spread: the largest minus the smallest value of the row, in percentage points." in made.notes


def test_agreement_tells_equal_rates_from_equal_outcomes(implementations: Lab) -> None:
    made = table(implementations, "spread", "agreement")
    # PGD: only image 3 is alike in all three. CW: equal rates, but images 1 and 2 differ.
    assert [row.entries[-1].estimate for row in made.rows] == [wilson(1, 4), wilson(2, 4)]
    assert any(note.startswith("Agreement: ") for note in made.notes)


def test_summaries_stand_in_the_order_of_the_suite(implementations: Lab) -> None:
    made = table(implementations, "agreement", "mean", "spread", headers={"spread": "Max - min"})
    assert made.columns[-3:] == (("Agreement",), ("Mean",), ("Max - min",))
    assert texts(made, 3)[0] == ["25.0 ±44.9", "33.3 ±41.6", "25.0"]


def test_clean_accuracy_is_no_part_of_a_comparison_but_a_clean_row_has_its_own(implementations: Lab) -> None:
    implementations.model("n", label="N")
    implementations.judge_clean("n", [T, T, T, F])
    implementations.attack("n", "n", [T, T, F, F], "PGD (ours)")
    filters = {"attack": "PGD (ours)"}
    made = table(implementations, "spread", rows=["model"], columns=["attack", "spread"], where=filters, clean=True)
    assert texts(made, 1) == [["n/a"], ["n/a"]]
    columns = ["model", "spread", "agreement"]
    made = table(implementations, rows=["attack"], columns=columns, where=filters, clean=True)
    assert [row.header for row in made.rows] == [("Clean",), ("PGD (ours)",)]
    assert texts(made, 2) == [["25.0", "75.0 ±44.9"], ["0.0", "100.0 ±49.0"]]


def test_fewer_than_two_entries_are_not_compared(implementations: Lab) -> None:
    made = table(implementations, "mean", "spread", "agreement", where={"attack.facts.by": "official"})
    assert texts(made, 3) == [["25.0 ±44.9", "n/a", "n/a"]]
    assert "n/a: the row has fewer than two entries to compare." in made.notes
    assert "n/a" in pipe_table(made)
    assert json.loads(json_text(made))["rows"][0]["entries"][-1]["missing"] == "too few"


@pytest.mark.parametrize("name", ["spread", "agreement"])
def test_a_comparison_is_missing_when_an_entry_is(implementations: Lab, name: str) -> None:
    implementations.attack("m", "m", None, "CW (official)")
    implementations.facts("CW (official)", method="CW", by="official")
    made = table(implementations, name)
    assert [row.entries[-1].missing for row in made.rows] == ["", "not run"]
    assert texts(made, 1)[1] == ["–"]


def test_a_row_that_the_plan_leaves_empty_stays_empty(transfer: Lab) -> None:
    transfer.judge_clean("c", [T, F, T, T])
    transfer.model("alone", label="Alone")
    transfer.judge_clean("alone", [T] * 4)
    rows = {"rows": ["target"], "columns": ["surrogate", "spread"], "value": "robust_accuracy", "clean": True}
    made = table(transfer, **rows)
    assert [row.entries[-1].missing for row in made.rows] == ["", "", ""]
    assert all(row.header != ("Alone",) for row in made.rows)


def test_agreement_compares_the_images_that_count_in_all_entries(transfer: Lab) -> None:
    keys = {"rows": ["surrogate"], "columns": ["target", "agreement"], "value": "attack_success_rate"}
    made = table(transfer, mode="transfer", denominator="own-correct", **keys)
    # Only image 1 is right for all three targets. From A all three are fooled, from B only B itself.
    assert [row.entries[-1].estimate for row in made.rows] == [wilson(1, 1), wilson(0, 1)]
    made = table(transfer, mode="transfer", denominator="all", **keys)
    # From A only image 1 is fooled in all three, and none in no one; from B only image 2.
    assert [row.entries[-1].estimate for row in made.rows] == [wilson(1, 4), wilson(1, 4)]


def test_every_seed_takes_part_in_agreement_and_their_means_in_spread(implementations: Lab) -> None:
    implementations.attack("m", "m", [T, T, T, T], "CW (ours)", seed=1)
    (made,) = table(implementations, "spread", "agreement", where={"attack.facts.method": "CW"}).rows
    spread, agreement = (entry.estimate for entry in made.entries[-2:])
    assert spread is not None
    assert spread.value == pytest.approx((0.25 + 1.0) / 2 - 0.25)
    assert agreement == wilson(0, 4)


def test_a_comparison_that_lacks_a_seed_is_marked(implementations: Lab) -> None:
    implementations.attack("m", "m", None, "CW (ours)", seed=1)
    made = table(implementations, "spread", "agreement", where={"attack.facts.method": "CW"})
    assert texts(made, 2) == [["0.0*", "50.0* ±35.0"]]


def test_a_spread_of_distances_is_printed_like_distances(implementations: Lab) -> None:
    made = table(implementations, "spread", "agreement", value="mean_l2")
    assert texts(made, 2)[0] == ["0.000", "25.0 ±44.9"]
    assert "Spread: the largest minus the smallest value of the row." in made.notes


def test_comparisons_bring_no_sentences_about_means(implementations: Lab) -> None:
    notes = " ".join(table(implementations, "spread", "agreement").notes)
    assert "interval of a mean" not in notes
    assert "stands for" not in notes
    assert "interval of a mean" in " ".join(table(implementations, "mean", "spread").notes)


def test_every_text_format_prints_the_comparisons(implementations: Lab) -> None:
    made = table(implementations, "spread", "agreement")
    assert read_pipes(markdown(made))[1][-2:] == ["25.0", "25.0 ±44.9"]
    assert next(rows_of(latex(made)))[-2:] == ["25.0", r"25.0{\,\scriptsize $\pm$44.9}"]
    assert re.search(r"PGD .* 25\.0 +25\.0 ±44\.9 *$", printed(made, 120), re.MULTILINE)


def test_figures_leave_comparisons_out(implementations: Lab) -> None:
    assert svg(table(implementations, "spread", "agreement")) == svg(table(implementations))
    assert svg(table(implementations, "mean")) != svg(table(implementations))


def test_json_has_no_interval_for_a_spread_and_names_what_was_compared(implementations: Lab) -> None:
    made = table(implementations, "spread", "agreement")
    *measured, spread, agreement = json.loads(json_text(made))["rows"][0]["entries"]
    assert (spread["comparison"], spread["value"], spread["low"], spread["high"]) == ("spread", 0.25, None, None)
    assert (agreement["comparison"], agreement["metric"], agreement["hits"]) == ("agreement", "agreement", 1)
    assert agreement["records"] == [record for entry in measured for record in entry["records"]]
    assert all("comparison" not in entry for entry in measured)


def test_csv_has_a_line_per_comparison_that_says_what_its_cells_share(implementations: Lab) -> None:
    frame = pd.read_csv(io.StringIO(csv(table(implementations, "mean", "spread", "agreement"))))
    assert frame.metric.tolist() == ["robust_accuracy"] * 5 + ["spread", "agreement"] * 2
    spread = frame[frame.metric == "spread"].iloc[0]
    assert (spread.value, spread["attack.facts.method"], spread.target, spread.status) == (0.25, "PGD", "m", "done")
    assert spread[["low", "high", "attack.facts.by", "attack", "record"]].isna().all()
    agreement = frame[frame.metric == "agreement"].iloc[1]
    assert (agreement.value, agreement.n, agreement.low) == (0.5, 4, pytest.approx(wilson(2, 4).low))


def test_written_comparisons_of_too_few_entries_say_so() -> None:
    assert written(Entry("robust_accuracy", None, missing="too few", comparison="spread"), 1).text == "n/a"
