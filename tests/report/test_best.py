"""Tables that mark the best of a group and what is not significantly worse."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from harness.core.errors import HarnessError
from harness.metrics.sign_tests import holm, two_sided_sign_test
from harness.report import Table, check, render
from harness.report.csv_file import csv
from harness.report.figure import svg
from harness.report.json_file import json_text
from harness.report.latex import latex
from harness.report.latex_columns import column_of
from harness.report.markdown import pipe_table
from harness.report.terminal import terminal
from harness.report.words import Written
from harness.spec import TableSpec

from .lab import Lab
from .test_formats import read_pipes
from .test_latex import check_latex, compile_latex, compiles, line_of, rows_of

T, F = True, False
N = 40

Marks = list[list[bool | None]]


def right(count: int, start: int = 0) -> list[bool]:
    """Forty images, so many of them right, from one on."""
    return [start <= i < start + count for i in range(N)]


@pytest.fixture
def forty(lab: Lab) -> Lab:
    """Forty images, on which PGD and CW attack networks that are right on all of them when clean."""
    lab.datasets.clear()
    lab.data(samples=N)
    return lab


def networks(lab: Lab, **pgd: list[bool]) -> Lab:
    """Networks by name, and what is left of them under PGD."""
    for name, correct in pgd.items():
        lab.model(name, label=name.title(), bn="N" if name.endswith("none") else "Y", depth=name[:1])
        lab.judge_clean(name, [T] * N)
        lab.attack(name, name, correct)
    return lab


def table(lab: Lab, **keys: Any) -> Table:
    spec = TableSpec.model_validate(
        {"name": "tab", "rows": ["model"], "columns": ["attack"], "best": "greatest", "clean": False, **keys}
    )
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def marks(made: Table) -> Marks:
    return [[entry.best for entry in row.entries] for row in made.rows]


def column(made: Table, position: int = 0) -> list[bool | None]:
    return [row[position] for row in marks(made)]


# --- who is best ------------------------------------------------------------------------------------------------


def test_the_greatest_is_marked_and_what_is_significantly_smaller_is_not(forty: Lab) -> None:
    assert two_sided_sign_test(10, 0) < 0.05
    assert column(table(networks(forty, a=right(30), b=right(20)))) == [True, False]


def test_the_smallest_is_marked_on_request(forty: Lab) -> None:
    assert column(table(networks(forty, a=right(30), b=right(20)), best="smallest")) == [False, True]


@pytest.mark.parametrize(("discordant", "marked"), [(5, True), (6, False)])
def test_an_entry_loses_its_mark_where_the_sign_test_says_so(forty: Lab, discordant: int, marked: bool) -> None:
    assert (two_sided_sign_test(discordant, 0) > 0.05) == marked
    assert column(table(networks(forty, a=right(30), b=right(30 - discordant)))) == [True, marked]


def test_equal_values_are_both_marked(forty: Lab) -> None:
    assert column(table(networks(forty, a=right(20), b=right(20, start=20), c=right(5)))) == [True, True, False]


def test_a_table_of_groups_of_one_says_that_nothing_is_marked(forty: Lab) -> None:
    lab = networks(forty, a=right(30), b=right(20))
    made = table(lab, rows=["model", "facts.bn"])
    assert column(made) == [None, None]
    note = "Nothing is bold: no two entries differ only in bn; the table's among says in what else they may differ."
    assert note in made.notes
    assert note not in table(lab, rows=["model", "facts.bn"], among=["model", "facts.bn"]).notes


def test_p_values_are_adjusted_for_all_pairs_of_the_group(forty: Lab) -> None:
    # Six images alone would tell two entries apart; of three entries, any of three pairs might have been tested.
    assert holm([two_sided_sign_test(6, 0)])[0] < 0.05 < holm([two_sided_sign_test(6, 0), 1.0, 1.0])[0]
    assert column(table(networks(forty, a=right(30), b=right(24)))) == [True, False]
    assert column(table(networks(forty, c=right(30)))) == [True, True, True]


def test_pairs_that_are_not_tested_count_in_the_adjustment(forty: Lab) -> None:
    # Among four, three tests and three pairs beside them: 7 images tell apart if there were two pairs, not if six.
    p = two_sided_sign_test(7, 0)
    assert 3 * p < 0.05 < 6 * p
    assert column(table(networks(forty, a=right(30), b=right(23), c=right(30), d=right(30)))) == [True] * 4


def test_errors_are_compared_as_errors(forty: Lab) -> None:
    made = table(networks(forty, a=right(30), b=right(20)), value="robust_error")
    assert column(made) == [False, True]


def test_success_rates_are_compared_on_the_images_that_count_in_both(forty: Lab) -> None:
    for name, clean in (("a", right(40)), ("b", right(30))):
        forty.model(name, label=name)
        forty.judge_clean(name, clean)
    forty.attack("a", "a", right(10, start=30))  # 30 of 40 turned
    forty.attack("b", "b", right(12))  # 18 of 30 turned, on images that are all turned for a
    assert column(table(forty, value="attack_success_rate")) == [True, False]


def test_an_entry_that_is_better_on_the_shared_images_keeps_its_mark(forty: Lab) -> None:
    for name, clean in (("a", right(40)), ("b", right(10))):
        forty.model(name, label=name)
        forty.judge_clean(name, clean)
    forty.attack("a", "a", right(10))  # turns 30 of 40, and none of the first ten
    forty.attack("b", "b", right(3))  # turns 7 of the first ten: fewer than 75%, but significantly more than none
    assert two_sided_sign_test(7, 0) < 0.05
    made = table(forty, value="attack_success_rate")
    assert [row.entries[0].estimate and row.entries[0].estimate.value for row in made.rows] == [0.75, 0.7]
    assert column(made) == [True, True]


def test_entries_without_a_shared_image_are_not_told_apart(forty: Lab) -> None:
    for name, clean in (("a", right(20)), ("b", right(20, start=20))):
        forty.model(name, label=name)
        forty.judge_clean(name, clean)
    forty.attack("a", "a", right(0))
    forty.attack("b", "b", right(20, start=20))
    assert column(table(forty, value="attack_success_rate")) == [True, True]


def test_seeds_count_as_one_entry_by_their_mean_per_image(forty: Lab) -> None:
    networks(forty, a=right(30), b=right(24))
    forty.attack("a", "a", right(24), seed=1)
    forty.attack("b", "b", right(24), seed=1)
    # Per image, half as much as between the first seeds, on as many images: the sign-flip test says the same.
    assert column(table(forty)) == [True, False]
    assert column(table(forty, where={"seed": 1})) == [True, True]


def test_means_over_attacks_are_compared_image_by_image(forty: Lab) -> None:
    networks(forty, a=right(30), b=right(20))
    forty.attack("a", "a", right(30), "CW")
    forty.attack("b", "b", right(20), "CW")
    made = table(forty, columns=["threat"], average=["attack"])
    assert column(made) == [True, False]


# --- groups -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(forty: Lab) -> Lab:
    """Twins with and without BN of two depths, under PGD and CW."""
    networks(forty, a_none=right(10), a_bn=right(20), b_none=right(40), b_bn=right(30))
    for model, correct in (("a_none", 25), ("a_bn", 12), ("b_none", 12), ("b_bn", 12)):
        forty.attack(model, model, right(correct), "CW")
    return forty


def pair_table(lab: Lab, **keys: Any) -> Table:
    return table(lab, rows=["facts.depth", "facts.bn"], **keys)


def test_entries_that_agree_in_all_other_facets_are_a_group(pairs: Lab) -> None:
    made = pair_table(pairs, among=["facts.bn"])
    assert [row.header for row in made.rows] == [("a", "N"), ("a", "Y"), ("b", "N"), ("b", "Y")]
    assert marks(made) == [[False, True], [True, False], [True, True], [False, True]]


def test_a_group_is_of_the_last_facet_of_rows_by_default(pairs: Lab) -> None:
    assert marks(pair_table(pairs)) == marks(pair_table(pairs, among=["facts.bn"]))


def test_a_group_may_differ_in_several_facets(pairs: Lab) -> None:
    made = pair_table(pairs, among=["facts.depth", "facts.bn"])
    assert marks(made) == [[False, True], [False, False], [True, False], [False, False]]


def test_a_group_may_lie_in_a_row(pairs: Lab) -> None:
    made = pair_table(pairs, among="attack")
    assert marks(made) == [[False, True], [True, False], [True, False], [True, False]]


def test_a_facet_of_columns_does_as_well_as_one_of_rows(pairs: Lab) -> None:
    made = table(pairs, rows=["attack"], columns=["facts.depth", "facts.bn"], among="facts.bn")
    assert marks(made) == [[False, True, True, False], [True, False, True, True]]


def test_entries_without_a_record_have_no_part(forty: Lab) -> None:
    networks(forty, a=right(30), b=right(20))
    forty.model("c")
    forty.judge_clean("c", [T] * N)
    forty.attack("c", "c", None)
    assert column(table(forty)) == [True, False, None]


def test_an_entry_alone_is_not_marked(forty: Lab) -> None:
    made = table(networks(forty, a=right(30)))
    assert column(made) == [None]
    assert not any(note.startswith("Bold") for note in made.notes)


def test_columns_that_sum_up_the_row_are_not_marked(pairs: Lab) -> None:
    made = pair_table(pairs, columns=["attack", "mean", "spread"])
    assert [row[2:] for row in marks(made)] == [[None, None]] * 4
    assert made.rows[0].entries[2].estimate


def test_clean_accuracies_are_a_group_of_their_own(forty: Lab) -> None:
    networks(forty, a=right(30), b=right(20))
    forty.model("c")
    forty.judge_clean("c", right(33))
    forty.attack("c", "c", right(33))
    made = table(forty, clean=True)
    assert marks(made) == [[True, True], [True, False], [False, True]]


def test_one_clean_accuracy_beside_several_attacks_is_alone(forty: Lab) -> None:
    networks(forty, a=right(30))
    forty.attack("a", "a", right(20), threat=("l2", 0.5, "L2 0.5"))
    made = table(forty, rows=["threat"], clean=True)
    assert marks(made) == [[None, True], [None, False]]


def test_clean_accuracies_beside_errors_are_not_marked(forty: Lab) -> None:
    made = table(networks(forty, a=right(30), b=right(20)), clean=True, value="robust_error")
    assert marks(made) == [[None, False], [None, True]]


def test_tables_of_clean_images_mark_the_best_of_every_data_set(lab: Lab) -> None:
    lab.datasets.clear()
    for data in ("One", "Two"):
        lab.data(data, samples=N)
    for name, one, two in (("a", 30, 10), ("b", 20, 12)):
        lab.model(name)
        lab.judge_clean(name, right(one), "One")
        lab.judge_clean(name, right(two), "Two")
        for data in ("One", "Two"):
            lab.attack(name, name, right(0), data=data)
    made = table(lab, columns=["dataset"], value="clean_accuracy", clean=None)
    assert marks(made) == [[True, True], [False, True]]


# --- mistakes ---------------------------------------------------------------------------------------------------


def problem(lab: Lab, **keys: Any) -> str:
    spec = TableSpec.model_validate({"rows": ["model"], "columns": ["attack"], "best": "greatest", **keys})
    found = check(lab.suite(spec), lab.cells())
    with pytest.raises(HarnessError) as raised:
        render(lab.suite(spec), lab.cells(), lab.store)
    assert found == [str(raised.value)]
    return found[0].removeprefix('table "table-1": ')


def test_a_misspelt_facet_is_a_mistake_with_suggestions(pairs: Lab) -> None:
    assert problem(pairs, among=["modle"]) == 'among: "modle" makes no rows or columns.\n     did you mean: model?'


def test_a_facet_that_the_table_does_not_show_is_a_mistake(pairs: Lab) -> None:
    assert problem(pairs, among=["facts.bn"]).startswith('among: "facts.bn" makes no rows or columns.\n     known: ')


def test_data_sets_share_no_images(pairs: Lab) -> None:
    words = "among: the best is found image by image, and data sets share no images."
    assert problem(pairs, rows=["model", "dataset"]).startswith(words)
    assert problem(pairs, columns=["dataset", "attack"], among=["model", "dataset"]).startswith(words)


@pytest.mark.parametrize("value", ["mean_l2", "mean_linf", "mean_passes"])
def test_means_have_no_best(pairs: Lab, value: str) -> None:
    assert problem(pairs, value=value).startswith("best: paired tests compare rates, and ")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"reference": "benz2021/4", "best": "greatest"}, "the rows, columns and values of the paper"),
        ({"reference": "benz2021/4", "best": "greatest", "among": ["model"]}, "the rows, columns and values of the"),
        ({"rows": ["model"], "columns": ["attack"], "among": ["model"]}, 'add best = "greatest" or "smallest"'),
        ({"rows": ["model"], "columns": ["attack"], "best": "highest"}, "'greatest' or 'smallest'"),
        ({"rows": ["a"], "columns": ["b"], "best": "greatest", "among": ["a", "a"]}, "twice"),
    ],
)
def test_keys_that_do_not_go_together_are_mistakes(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        TableSpec.model_validate(keys)


# --- formats ----------------------------------------------------------------------------------------------------


def test_a_note_says_what_is_bold(pairs: Lab) -> None:
    [note] = [note for note in pair_table(pairs, headers={"facts.bn": "BN"}).notes if note.startswith("Bold")]
    assert note == (
        "Bold: of the entries that differ only in BN, the greatest and those not significantly smaller (paired tests "
        "over the images that count in both, Holm over all pairs of such entries, 5%)."
    )
    [note] = [note for note in pair_table(pairs, best="smallest").notes if note.startswith("Bold")]
    assert "the smallest and those not significantly greater" in note


def test_a_table_that_does_not_ask_says_and_prints_nothing_of_it(pairs: Lab) -> None:
    made = pair_table(pairs, best=None)
    assert not any("Bold" in note for note in made.notes)
    assert marks(made) == [[None, None]] * 4
    assert "best" not in csv(made).splitlines()[0]
    assert "best" not in json_text(made)
    assert "**" not in pipe_table(made)
    assert "bfseries" not in latex(made)
    assert "series" not in latex(made)


def test_markdown_prints_the_number_alone_in_bold(pairs: Lab) -> None:
    rows = read_pipes(pipe_table(pair_table(pairs)))[1:]
    assert [row[2:] for row in rows[:2]] == [["25.0 ±15.2", "**62.5** ±15.5"], ["**50.0** ±14.8", "30.0 ±15.4"]]


def test_markdown_keeps_the_star_of_an_incomplete_mean_outside(forty: Lab) -> None:
    networks(forty, a=right(30), b=right(20))
    forty.attack("a", "a", None, seed=1)
    assert read_pipes(pipe_table(table(forty)))[1][1] == r"**75.0**\* ±15.2"


def test_csv_tells_of_every_cell_whether_its_entry_is_best(pairs: Lab) -> None:
    pairs.model("c_bn", bn="Y", depth="c")
    pairs.judge_clean("c_bn", [T] * N)
    pairs.attack("c_bn", "c_bn", right(3))
    frame = pd.read_csv(io.StringIO(csv(pair_table(pairs))))
    assert frame.columns[-1] == "best"
    frame = frame[frame.attack == "PGD"]
    marked: dict[str, Any] = dict(zip(frame.target, frame.best, strict=True))
    assert pd.isna(marked.pop("c_bn"))
    assert marked == {"a_none": False, "a_bn": True, "b_none": True, "b_bn": False}


def test_csv_of_several_seeds_gives_all_of_them_the_mark_of_their_entry(forty: Lab) -> None:
    networks(forty, a=right(30), b=right(20))
    forty.attack("a", "a", right(10), seed=1)
    frame = pd.read_csv(io.StringIO(csv(table(forty))))
    assert frame.best.tolist() == [True, True, True]


def test_json_has_a_field_where_an_entry_has_others_to_be_compared_with(pairs: Lab) -> None:
    content = json.loads(json_text(pair_table(pairs, columns=["attack", "mean"])))
    entries = content["rows"][0]["entries"]
    assert [entry.get("best") for entry in entries] == [False, True, None]
    assert "best" not in entries[2]


def test_the_terminal_prints_the_number_alone_in_bold(pairs: Lab) -> None:
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(terminal(pair_table(pairs), 120))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1m62.5\x1b[0m\x1b[2m ±15.5\x1b[0m" in written
    assert "\x1b[1m25.0" not in written


def test_figures_are_the_same_with_and_without(pairs: Lab) -> None:
    assert svg(pair_table(pairs)) == svg(pair_table(pairs, best=None))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (Written("81.2", bold=True), r"\bfseries 81.2"),
        (Written("81.2", "2.4", bold=True), r"\bfseries 81.2{\mdseries \,\scriptsize $\pm$2.4}"),
        (Written("50.0", "", "7.0", "*", bold=True), r"\bfseries 50.0{\mdseries *\,\scriptsize ($s$ 7.0)}"),
    ],
)
def test_latex_prints_the_number_alone_in_bold(value: Written, cell: str) -> None:
    printed = [line_of(value)]
    assert column_of(printed, 0).cells(printed[0].places[0]) == cell
    assert column_of(printed, 0).specification == column_of([line_of(value._replace(bold=False))], 0).specification


def test_latex_tables_with_bold_numbers_are_sound(pairs: Lab) -> None:
    text = latex(pair_table(pairs))
    check_latex(text)
    assert [[cell.startswith(r"\bfseries ") for cell in row[-2:]] for row in rows_of(text)] == [
        [False, True], [True, False], [True, True], [False, True],
    ]  # fmt: skip


@compiles
def test_latex_tables_with_bold_numbers_compile(pairs: Lab, tmp_path: Path) -> None:
    log = compile_latex(latex(pair_table(pairs)), tmp_path)
    assert "Overfull" not in log
    # The bold font of the page is loaded, so that bold numbers are bold.
    assert "cmbx10" in log
