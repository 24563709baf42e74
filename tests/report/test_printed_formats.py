"""Tables of papers in every format, alone and beside the paper's numbers, read back."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from harness.report import FORMATS, Report, Table, write
from harness.report.csv_file import csv
from harness.report.figure import png
from harness.report.json_file import json_text
from harness.report.markdown import pipe_table
from harness.report.terminal import terminal
from harness.spec import TableSpec

from .lab import Lab
from .printed import awais_lab, report
from .test_formats import read_pipes


def test_markdown_reads_back_line_by_line(table4: Lab) -> None:
    made = report(table4, TableSpec(reference="benz2021/4"))
    head, *rows = read_pipes(pipe_table(made.comparisons[0]))
    assert head[:5] == ["Attack", "Source", "BN", "", "AlexN"]
    assert rows[0][:6] == ["I", "VGG16", "Y", "ours", "30.0 ±21.9", "100.0 ±16.1"]
    assert rows[1][:6] == ["", "", "", "paper", "28.7", "100\\*"]
    assert rows[2][:6] == ["", "", "", "diff", "+1.3", "+0.0"]
    assert len(rows) == 24
    _, first, *_ = read_pipes(pipe_table(made.tables[0]))
    assert first[:5] == ["I", "VGG16", "Y", "30.0 ±21.9", "100.0 ±16.1"]


def test_markdown_joins_pairs_and_prints_headings(tmp_path: Path, table1: Lab) -> None:
    pairs = report(table1, TableSpec(reference="benz2021/2", where={"norm": "l2"}))
    rows = read_pipes(pipe_table(pairs.comparisons[0]))[1:]
    assert rows[6][2:5] == ["ours", "80.0 ±21.6/50.0 ±20.1", "90.0 ±20.1/25.0 ±21.9"]
    assert rows[7][3] == "90.06/51.30"
    assert rows[8][3] == "-10.1/-1.3"
    assert rows[6][5] == "n/a"
    headed = read_pipes(pipe_table(report(awais_lab(tmp_path / "b"), TableSpec(reference="awais2020/1")).tables[0]))
    assert headed[1] == ["MNIST (eps = 0.2, c = 10)", *[""] * 6]
    assert headed[2][0] == "P"


def test_csv_has_a_line_per_printed_number(table4: Lab) -> None:
    made = report(table4, TableSpec(reference="benz2021/4"))
    frame = pd.read_csv(io.StringIO(csv(made.comparisons[0])), keep_default_na=False, dtype={"printed": str})
    assert len(frame) == 56
    first = frame.iloc[0]
    assert (first["row_header"], first["column"], first["arch"], first["target"]) == (
        "I VGG16 Y",
        "AlexN",
        "vgg16",
        "alexnet",
    )
    assert (first["value"], first["paper"], first["difference"], first["printed"]) == (0.3, 0.287, 0.013, "28.7")
    assert (frame.iloc[1]["printed"], frame.iloc[1]["paper"]) == ("100*", 1.0)
    assert set(frame["denominator"]) == {"all"}
    ours = pd.read_csv(io.StringIO(csv(made.tables[0])))
    assert len(ours) == 48
    assert set(ours.columns) >= {"row", "column", "record"}


def test_csv_says_why_a_number_is_missing(table1: Lab) -> None:
    made = report(table1, TableSpec(reference="benz2021/1", part={"dataset": "cifar10"}))
    frame = pd.read_csv(io.StringIO(csv(made.comparisons[0])), keep_default_na=False)
    assert set(frame[frame["arch"] == "vgg16"]["status"]) == {"not in the suite"}
    assert set(frame[frame["arch"] == "vgg16"]["value"]) == {""}


def test_json_has_the_papers_numbers_only_where_the_table_shows_them(table1: Lab) -> None:
    made = report(table1, TableSpec(reference="benz2021/2", where={"norm": "l2"}))
    content = json.loads(json_text(made.comparisons[0]))
    entry = content["rows"][2]["entries"][0]
    assert content["reference"] == "benz2021/2"
    assert entry["paper"]["printed"] == "90.06"
    assert entry["difference"] == pytest.approx(0.8 - 0.9006)
    assert entry["joined"][0]["paper"]["value"] == pytest.approx(0.513)
    assert content["against_paper"]["compared"] == 4
    plain = json.loads(json_text(made.tables[0]))
    assert "paper" not in plain["rows"][2]["entries"][0]
    assert "against_paper" not in plain


def printed_lines(table: Table, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal(table, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_terminal_shows_all_three_lines_at_any_width(table4: Lab, width: int) -> None:
    made = report(table4, TableSpec(reference="benz2021/4"))
    shown = printed_lines(made.comparisons[0], width)
    ours = next(i for i, line in enumerate(shown) if "ours" in line and "VGG16" in line)
    assert "30.0" in shown[ours]
    assert "28.7" in shown[ours + 1]
    assert "100*" in shown[ours + 1]
    assert "+1.3" in shown[ours + 2]
    assert max(map(len, shown)) <= width


def test_the_terminal_prints_headings_and_pairs(tmp_path: Path, table1: Lab) -> None:
    groups = printed_lines(report(awais_lab(tmp_path / "a"), TableSpec(reference="awais2020/1")).tables[0], 100)
    assert any("MNIST (eps = 0.2, c = 10)" in line for line in groups)
    pairs = report(table1, TableSpec(reference="benz2021/2", where={"norm": "l2"}))
    assert any("80.0/50.0" in line for line in printed_lines(pairs.tables[0], 70))


def test_every_table_and_comparison_is_written_in_every_format(made: Report, tmp_path: Path) -> None:
    files = {file.name for file in write(made, tmp_path / "out")}
    names = [table.name for table in (*made.tables, *made.comparisons)]
    suffixes = [FORMATS.get(name).suffix for name in FORMATS.names() if not FORMATS.get(name).in_page]
    assert files == {"report.md", *(name + suffix for name in names for suffix in suffixes)}


def test_a_figure_of_a_papers_table_can_be_drawn(made: Report) -> None:
    assert png(made.tables[0]).startswith(b"\x89PNG")
