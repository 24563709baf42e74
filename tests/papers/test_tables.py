from collections import Counter

import pytest

from harness.core.errors import HarnessError
from harness.papers import PrintedTable, printed_table, printed_tables

RESULTS = [table for table in printed_tables() if table.kind == "results"]
SETTINGS = [table for table in printed_tables() if table.kind == "settings"]


def reference(table: PrintedTable) -> str:
    return table.reference


def test_there_are_16_tables_of_results_and_4_of_settings() -> None:
    assert (len(RESULTS), len(SETTINGS)) == (16, 4)


@pytest.mark.parametrize("table", RESULTS, ids=reference)
def test_a_layout_has_every_number_of_its_table_exactly_once(table: PrintedTable) -> None:
    placed = Counter(value for row in table.rows for column in table.columns for value in table.at(row, column))
    assert placed == Counter(table.values)


@pytest.mark.parametrize("table", RESULTS, ids=reference)
def test_every_place_has_one_number_one_per_part_or_is_blank(table: PrintedTable) -> None:
    blanks = {(place.row, place.col) for place in table.blanks}
    for row in table.rows:
        for column in table.columns:
            expected = 0 if (row.row, column.label) in blanks else len(column.parts) or 1
            assert len(table.at(row, column)) == expected


@pytest.mark.parametrize("table", RESULTS, ids=reference)
def test_headers_fit_the_table(table: PrintedTable) -> None:
    assert [row.row for row in table.rows] == list(range(1, len(table.rows) + 1))
    assert all(len(row.labels) == len(table.row_headers) for row in table.rows)
    assert len(table.headers) == len(table.columns)
    assert {len(header) for header in table.headers} == {len(table.header_lines) or 1}
    assert all(rule < len(table.rows) for rule in table.rules)


@pytest.mark.parametrize("table", SETTINGS, ids=reference)
def test_settings_have_a_text_per_column(table: PrintedTable) -> None:
    assert table.values == ()
    assert {len(row) for row in table.settings_rows} == {len(table.row_headers) + len(table.settings_columns)}


@pytest.mark.parametrize(
    ("reference", "row", "column", "text"),
    [
        ("benz2021/1", 1, "Acc", "71.59"),
        ("benz2021/2", 4, "None", "91.89/34.02"),
        ("benz2021/4", 1, "VGG16", "100*"),
        ("benz2021/4", 3, "Avg", "71.4"),
        ("benz2021/7", 2, "BN", "-"),
        ("awais2020/1", 1, "PGD", "07.7"),
    ],
)
def test_a_place_prints_what_the_paper_prints(reference: str, row: int, column: str, text: str) -> None:
    table = printed_table(reference)
    place = next(one for one in table.columns if one.label == column)
    assert table.text(table.rows[row - 1], place) == text


def test_headers_of_two_lines_keep_both() -> None:
    assert printed_table("benz2021/1").headers[:2] == (("Acc", ""), ("PGD l2", "0.25"))


def test_a_table_of_the_supplement_has_two_numbers() -> None:
    assert printed_table("benz2021/A8") is printed_table("benz2021/12")


def test_an_unknown_table_is_refused_with_those_of_the_paper() -> None:
    with pytest.raises(HarnessError, match=r"known: walter2022/1, walter2022/2"):
        printed_table("walter2022/3")
    with pytest.raises(HarnessError, match=r"did you mean: benz2021/\d"):
        printed_table("benz2020/4")
