import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.report import Report, render, write

from .lab import Lab


def squeezed(page: str) -> str:
    """The page with runs of spaces made one: how wide columns are padded is not ours."""
    return re.sub(" +", " ", page)


EVERY_FORMAT = ["report.md", "whitebox.csv", "whitebox.json", "whitebox.tex"]


def report(lab: Lab) -> Report:
    return render(lab.suite(title="A title", notes="A closing word.", paper="benz2021/1"), lab.cells(), lab.store)


def test_page_says_what_was_run_how_to_read_it_and_how_to_make_it_again(whitebox: Lab) -> None:
    page = report(whitebox).page()
    for part in (
        "# A title",
        "Modelled on the printed table benz2021/1.",
        "Suite `lab`: 10 cells planned, 9 finished.",
        "| Digits | 4      | first  | all               | `DigitsDigits` |",
        "Threat models (budgets on the [0, 1] pixel scale): L∞ 8/255; L2 0.5.",
        "| PGD    | PGD           | 1       | L∞ 8/255; L2 0.5 | steps = 10, step_size = 0.8/255 |",
        "### White-box robust accuracy (%), Digits",
        "± is how far the 95% Wilson interval reaches at its farther end. n = 4",
        "| Batch | batch | zoo:batch | BN   | 3 BN        |            100.0 ±49.0 |     12,345 | `batch_______` |",
        "A closing word.",
        "    harness run suites/lab.toml",
    ):
        assert squeezed(part) in squeezed(page)


def test_page_holds_nothing_about_when_and_where_it_was_made(whitebox: Lab, tmp_path: Path) -> None:
    page = report(whitebox).page()
    assert str(tmp_path) not in page
    assert "2020-01-01" not in page
    assert "somewhere" not in page


def test_command_of_the_page_can_be_given(whitebox: Lab) -> None:
    made = render(whitebox.suite(), whitebox.cells(), whitebox.store, command="harness run mine.toml --limit 4")
    assert "    harness run mine.toml --limit 4" in made.page()


def test_page_of_a_suite_that_never_ran_has_its_tables_without_numbers(lab: Lab) -> None:
    lab.model("m")
    lab.judge_clean("m", [True] * 4, run=False)
    lab.attack("m", "m", None)
    page = render(lab.suite(), lab.cells(), lab.store).page()
    assert "| m | – | – |" in squeezed(page)
    assert "– 2 of 2 cells not run." in page


def test_write_gives_the_page_and_one_file_per_table_and_format(whitebox: Lab, tmp_path: Path) -> None:
    files = write(report(whitebox), tmp_path / "out")
    assert [file.name for file in files] == EVERY_FORMAT
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == EVERY_FORMAT


def test_writing_again_gives_the_same_bytes(whitebox: Lab, tmp_path: Path) -> None:
    first = [file.read_bytes() for file in write(report(whitebox), tmp_path, figures=True)]
    assert [file.read_bytes() for file in write(report(whitebox), tmp_path, figures=True)] == first


def test_two_processes_may_write_one_report_at_once(
    whitebox: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, rename = report(whitebox), Path.replace

    def written_meanwhile(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", rename)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        write(made, tmp_path)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", written_meanwhile)
    write(made, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == EVERY_FORMAT


def test_formats_can_be_chosen_and_an_unknown_one_writes_nothing(whitebox: Lab, tmp_path: Path) -> None:
    assert [file.name for file in write(report(whitebox), tmp_path / "out", ["latex"])] == [
        "report.md",
        "whitebox.tex",
    ]
    with pytest.raises(HarnessError, match="did you mean: latex"):
        write(report(whitebox), tmp_path / "none", ["latexx"])
    assert not (tmp_path / "none").exists()


def test_figures_are_drawn_and_shown_only_when_asked(transfer: Lab, tmp_path: Path) -> None:
    made = render(transfer.suite(), transfer.cells(), transfer.store)
    assert "transfer.png" not in made.page()
    files = write(made, tmp_path, ["csv"], figures=True)
    assert [file.name for file in files] == ["report.md", "transfer.csv", "transfer.png"]
    assert files[2].read_bytes().startswith(b"\x89PNG")
    assert "![Transfer attack success rate (%), L∞ 8/255, Digits](transfer.png)" in files[0].read_text("utf-8")


def test_figures_of_unfinished_tables_can_be_drawn(lab: Lab, make_lab: Callable[[str], Lab], tmp_path: Path) -> None:
    lab.model("m")
    lab.judge_clean("m", [True] * 4)
    lab.attack("m", "m", None)
    lab.attack("m", "m", None, mode="transfer")
    files = write(render(lab.suite(), lab.cells(), lab.store), tmp_path, [], figures=True)
    assert [file.name for file in files] == ["report.md", "whitebox.png", "transfer.png"]


def test_reports_need_neither_torch_nor_matplotlib() -> None:
    code = "import harness.report, harness.report.terminal, sys; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
