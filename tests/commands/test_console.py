"""Tables fit where they are printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from harness.commands import console
from harness.commands.console import print_rows

ROWS: list[dict[str, Any]] = [
    {"name": "first", "data": "some images", "recipe": "ten words in a row", "norm": "bn", "PGD": ["1%", "2%"]},
    {"name": "second", "data": "others", "recipe": "few", "norm": "-", "PGD": "-"},
]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[int], list[str]]:
    """Lines as they appear on a terminal of some width, or in a file for a width of 0."""

    def lines(width: int) -> list[str]:
        terminal = Console(width=width or console.WIDE, force_terminal=width > 0, color_system=None, highlight=False)
        monkeypatch.setattr(console, "stdout", lambda: terminal)
        print_rows(ROWS, folding=("recipe",), expendable=("data", "norm"))
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return lines


def test_several_values_stand_side_by_side_in_a_file(printed: Callable[[int], list[str]]) -> None:
    assert [line.split("  ")[-1].strip() for line in printed(0)] == ["PGD", "1%, 2%", "-"]


def test_several_values_stand_below_each_other_on_a_terminal(printed: Callable[[int], list[str]]) -> None:
    assert [line.split()[-1] for line in printed(80)] == ["PGD", "1%", "2%", "-"]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (80, ["name", "data", "recipe", "norm", "PGD"]),
        (42, ["name", "data", "recipe", "norm", "PGD"]),
        (35, ["name", "recipe", "norm", "PGD"]),
        (24, ["name", "recipe", "PGD"]),
    ],
)
def test_columns_fold_and_then_give_way(width: int, columns: list[str], printed: Callable[[int], list[str]]) -> None:
    lines = printed(width)
    assert lines[0].split() == columns
    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    assert {"ten", "words", "row", "first", "second"} <= set(words), "no word is broken"


def test_a_column_without_any_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"name": "a", "x": "-", "y": "1"}, {"name": "b", "x": "-", "y": "-"}])
    assert capsys.readouterr().out.split() == ["name", "y", "a", "1", "b", "-"]
