import io
import json

import pandas as pd
import pytest
from rich.console import Console

from harness.report import FORMATS, Table, render
from harness.report.csv_file import COLUMNS, csv
from harness.report.json_file import json_text
from harness.report.markdown import markdown, pipe_table
from harness.report.table import Entry, Row
from harness.report.terminal import terminal
from harness.report.words import written
from harness.spec import TableSpec

from .lab import Lab


def whitebox_table(lab: Lab) -> Table:
    spec = TableSpec(name="tab", title="A & B", rows=["model", "facts.bn"], columns=["attack", "threat"])
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


def read_pipes(text: str) -> list[list[str]]:
    """Cells of a pipe table, heading first, without the rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


def test_markdown_reads_back_as_the_table(whitebox: Lab) -> None:
    head, *rows = read_pipes(pipe_table(whitebox_table(whitebox)))
    assert head == ["Model", "bn", "Clean", "PGD L∞ 8/255", "PGD L2 0.5", "CW L∞ 8/255", "CW L2 0.5"]
    assert rows[0] == ["Plain", "N", "75.0 ±44.9", "50.0 ±35.0", "75.0 ±44.9", "25.0 ±44.9", "50.0 ±35.0"]
    assert rows[1] == ["Batch", "Y", "100.0 ±49.0", "25.0 ±44.9", "50.0 ±35.0", "0.0 ±49.0", "–"]


def test_markdown_aligns_numbers_to_the_right_and_names_to_the_left(whitebox: Lab) -> None:
    rule = pipe_table(whitebox_table(whitebox)).splitlines()[1]
    assert [cell.strip().endswith(":") for cell in rule.strip("|").split("|")] == [False] * 2 + [True] * 5


def test_markdown_of_one_table_says_what_the_interval_is(whitebox: Lab) -> None:
    assert "± is how far the 95% Wilson interval reaches at its farther end." in markdown(whitebox_table(whitebox))


def test_a_bar_in_a_label_does_not_break_the_markdown_table(lab: Lab) -> None:
    lab.model("m", label="a|b*")
    lab.judge_clean("m", [True] * 4)
    assert "| a\\|b\\* " in pipe_table(render(lab.suite(), lab.cells(), lab.store).tables[0])


@pytest.mark.parametrize(
    ("label", "escaped"),
    [
        ("_a_ resnet20_bn", r"\_a\_ resnet20_bn"),
        ("Net <ours> <0.1", r"Net \<ours> <0.1"),
        ("> `q` ~b~ $x$", r"\> \`q\` \~b\~ \$x\$"),
        ("[x](y)", r"\[x\](y)"),
        (r"a\|b \frac", r"a\\\|b \frac"),
        ("a &amp; b & c", r"a \&amp; b & c"),
        ("two\nlines", "two lines"),
    ],
)
def test_labels_and_titles_are_no_markup(label: str, escaped: str, lab: Lab) -> None:
    lab.model("m", label=label)
    lab.judge_clean("m", [True] * 4)
    spec = TableSpec(name="tab", title=label, rows=["model"], columns=["dataset"], value="clean_accuracy")
    made = render(lab.suite(spec, title=label), lab.cells(), lab.store)
    assert f"| {escaped} " in pipe_table(made.tables[0])
    page = made.page({"tab": "tab.png"})
    assert page.startswith(f"# {escaped}\n")
    assert f"### {escaped}\n" in page
    assert f"![{escaped}](tab.png)" in page


def test_spread_and_incomplete_means_are_written_beside_the_number(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [True] * 4)
    for seed, correct in enumerate(([True] * 4, [False] * 4, None)):
        lab.attack("m", "m", correct, seed=seed)
    entry = render(lab.suite(), lab.cells(), lab.store).tables[0].rows[0].entries[1]
    assert written(entry, 1).text == "50.0* ±24.5 (s 70.7)"


def test_csv_reads_back_with_one_line_per_cell(whitebox: Lab) -> None:
    made = whitebox_table(whitebox)
    frame = pd.read_csv(io.StringIO(csv(made)), keep_default_na=False, na_values=[""])
    assert set(COLUMNS) < set(frame.columns)
    assert len(frame) == 10
    assert frame["record"].is_unique
    line = frame[(frame.model == "Batch") & (frame.attack == "PGD") & (frame.norm == "l2")].iloc[0]
    assert (line.value, line.n, line.metric, line.status) == (0.5, 4, "robust_accuracy", "done")
    assert line["facts.bn"] == "Y"
    missing = frame[frame.status != "done"]
    assert missing.status.tolist() == ["not run"]
    assert missing.value.isna().all()


def test_csv_has_a_line_per_name_of_one_model_and_marks_them_all(lab: Lab) -> None:
    for name, correct in (("a", [True] * 4), ("b", [False] * 4), ("a-again", None)):
        lab.model(name)
        lab.judge_clean(name, [True] * 4, run=False)
        if correct:
            cell = lab.attack(name, name, correct)
            names = {"surrogate": "a-again", "target": "a-again"}
            lab.planned.extend([cell.model_copy(update=names)] if name == "a" else [])
    spec = TableSpec(name="tab", rows=["model"], columns=["attack"], clean=False, best="greatest")
    frame = pd.read_csv(io.StringIO(csv(render(lab.suite(spec), lab.cells(), lab.store).tables[0])))
    assert frame[["target", "value", "best"]].values.tolist() == [
        ["a", 1.0, True], ["b", 0.0, True], ["a-again", 1.0, True],
    ]  # fmt: skip


def test_seeds_are_whole_numbers_in_the_csv_of_a_table_with_comparisons(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [True] * 4)
    for seed in (0, 1):
        lab.attack("m", "m", [True] * 4, seed=seed)
    spec = TableSpec(name="tab", rows=["model"], columns=["seed", "spread"], clean=False)
    frame = pd.read_csv(io.StringIO(csv(render(lab.suite(spec), lab.cells(), lab.store).tables[0])), dtype=str)
    assert frame["seed"].fillna("").tolist() == ["0", "1", ""]


def test_csv_keeps_full_precision(transfer: Lab) -> None:
    frame = pd.read_csv(io.StringIO(csv(render(transfer.suite(), transfer.cells(), transfer.store).tables[0])))
    assert (frame.value == 1 / 3).sum() == 3


def test_json_reads_back_with_the_records_behind_every_entry(whitebox: Lab) -> None:
    made = whitebox_table(whitebox)
    content = json.loads(json_text(made))
    assert [tuple(column) for column in content["columns"]] == list(made.columns)
    assert content["datasets"] == ["Digits"]
    assert content["notes"] == list(made.notes)
    entry = content["rows"][0]["entries"][1]
    assert (entry["value"], entry["n"], entry["hits"], entry["metric"]) == (0.5, 4, 2, "robust_accuracy")
    assert entry["records"] == [made.rows[0].entries[1].runs[0].cell.id]
    assert content["rows"][1]["entries"][4]["missing"] == "not run"


def printed(made: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(terminal(made, width), crop=False)
    return console.export_text()


def test_terminal_prints_every_number_and_the_notes(whitebox: Lab) -> None:
    text = printed(whitebox_table(whitebox), 120)
    assert "75.0 ±44.9" in text
    assert "– 1 of 10 cells not run." in text


def test_terminal_leaves_intervals_out_when_they_do_not_fit(whitebox: Lab) -> None:
    text = printed(whitebox_table(whitebox), 70)
    assert "75.0" in text
    assert "±" not in text
    assert "Left out here, for width: intervals" in text


@pytest.mark.parametrize("width", [10, 20, 40, 60])
def test_terminal_cuts_no_name_and_no_number_however_narrow(whitebox: Lab, width: int) -> None:
    lines = [line.split() for line in printed(whitebox_table(whitebox), width).splitlines()]
    assert ["Plain", "N", "75.0", "50.0", "75.0", "25.0", "50.0"] in lines
    assert ["Batch", "Y", "100.0", "25.0", "50.0", "0.0", "–"] in lines


def test_terminal_leaves_spreads_out_before_intervals(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [True] * 4)
    for seed in range(2):
        lab.attack("m", "m", [seed == 0] * 4, seed=seed)
    made = render(lab.suite(), lab.cells(), lab.store).tables[0]
    assert "50.0 ±24.5 (s 70.7)" in printed(made, 60)
    assert "50.0 ±24.5" in printed(made, 35)
    assert "s 70.7" not in printed(made, 35)
    assert "±" not in printed(made, 25)


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_takes_every_kind_of_entry(name: str, transfer: Lab) -> None:
    made = render(transfer.suite(), transfer.cells(), transfer.store).tables[0]
    odd = tuple(Entry("robust_accuracy", None, missing=reason) for reason in ("not planned", "failed", "undefined"))
    table = Table(
        "odd", "Odd", "mean_l2", "all", ("Row",), ("Column",), (("one",), ("two",), ("three",)), (Row(("r",), odd),)
    )
    assert FORMATS.get(name).text(table)
    assert FORMATS.get(name).text(made) == FORMATS.get(name).text(made)
