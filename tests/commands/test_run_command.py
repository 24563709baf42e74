"""`harness run`: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from harness.cells import read_cells
from harness.report import FORMATS
from harness.store import OUTCOME_COLUMNS, Store
from tests.commandline import Harness

SuiteFile = Callable[..., Path]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|[━╸╺]")
"""Control characters, escapes and progress bars, which have no place in a log."""


def test_a_run_prints_its_tables_and_says_what_it_did_and_nothing_else(suite_file: SuiteFile, call: Harness) -> None:
    printed = call("run", suite_file())
    assert printed.code == 0
    assert "White-box robust accuracy" in printed.output
    assert re.fullmatch(
        r"4 cells computed in \d+\.\d s, 0 found in \.harness; tables written to reports/sound/\n", printed.errors
    )
    assert not CONTROL.search(printed.output + printed.errors)


def test_a_run_writes_everything_that_it_promises(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    call("run", suite_file())
    written = {path.suffix for path in (workplace / "reports" / "sound").iterdir()}
    assert written == {".md", *(FORMATS.get(name).suffix for name in FORMATS.names())}
    store = Store(workplace / ".harness")
    cells = read_cells(store, "sound")
    assert {cell.id for cell in cells.cells} == {record.id for record in store.records()}
    for record in store.records():
        outcomes = pd.read_parquet(store.path / "records" / record.id[:2] / record.id / "outcomes.parquet")
        assert outcomes.dtypes.astype(str).to_dict() == OUTCOME_COLUMNS
        assert len(outcomes) == record.n == 20


def test_a_run_goes_where_it_is_told(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    printed = call("run", suite_file(), "--out", "there/[tables]", "--store", "records", "--limit", 5, "--seed", 3)
    assert printed.code == 0
    assert "found in records; tables written to there/[tables]/" in printed.errors
    assert {record.n for record in Store("records").records()} == {5}
    assert {record.question.seed for record in Store("records").records()} == {0, 3}
    assert (workplace / "there" / "[tables]" / "report.md").is_file()
    assert not (workplace / ".harness").exists()


def test_a_run_as_json_prints_only_json(suite_file: SuiteFile, call: Harness) -> None:
    printed = call("run", suite_file(), "--json")
    tables = json.loads(printed.output)["tables"]
    assert [table["name"] for table in tables] == ["whitebox"]


def test_a_dry_run_plans_only(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    printed = call("run", suite_file(), "--dry-run")
    # Times are measured anew.
    expected, found = (text.partition(", about ")[0] for text in (printed.output, call("plan", suite_file()).output))
    assert found == expected
    assert not (workplace / ".harness").exists()


def test_cells_that_failed_for_one_reason_are_told_once(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    (workplace / "failing_of_tests.py").write_text(
        "from torch import nn\n"
        "class Failing(nn.Module):\n"
        "    def forward(self, images):\n"
        "        if len(images) > 4:\n"
        "            raise LookupError('too many')\n"
        "        return images.flatten(1)[:, :10]\n"
    )
    model = ('"zoo:digits-vgg6-none"', '"python:failing_of_tests:Failing"')
    printed = call("run", suite_file(model, ("[whitebox]", '[transfer]\nsurrogates = "batch"')))
    assert "failed: Clean on plain, digits (test): LookupError: too many\n     traceback: " in printed.errors
    assert (
        "failed: PGD L∞ 8/255 crafted on batch, judged on plain, digits (test), seed 0: "
        '"plain" has no clean predictions: LookupError: too many\n2 cells failed;'
    ) in printed.errors


def test_failed_cells_are_a_dash_a_reason_and_exit_code_1(
    suite_file: SuiteFile, call: Harness, workplace: Path
) -> None:
    (workplace / "fragile_of_tests.py").write_text(
        "from torch import nn\n"
        "class Fragile(nn.Module):\n"
        "    def forward(self, images):\n"
        "        if images.requires_grad:\n"
        "            raise LookupError('no gradients [here]')\n"
        "        return images.flatten(1)[:, :10]\n"
    )
    path = suite_file(('"zoo:digits-vgg6-none"', '"python:fragile_of_tests:Fragile"'))
    printed = call("run", path)
    assert printed.code == 1
    assert "–" in printed.output
    _, *told = printed.errors.splitlines()
    (file,) = (workplace / ".harness" / "failures").iterdir()
    assert told == [
        "failed: PGD L∞ 8/255 on plain, digits (test), seed 0: LookupError: no gradients [here]",
        f"     traceback: .harness/failures/{file.name}",
        "1 cell failed; the same command tries again.",
    ]
    assert 'fragile_of_tests.py", line 5, in forward' in file.read_text()
    report = call("report", path)
    assert report.code == 1
    assert "1 cell of 4 without a record" in report.errors
