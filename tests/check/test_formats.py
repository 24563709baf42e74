"""What the gate found, as terminals, pull requests and CI systems show it."""

from __future__ import annotations

import io
import json
import re
from xml.etree import ElementTree

import pytest
from rich.console import Console

from harness.check import FORMATS, Check
from harness.check.github import SHOWN, annotation
from harness.check.markdown import MARKS

from .made import baseline, check, entry, right


def text(name: str, found: Check, width: int = 200) -> str:
    """A format as text."""
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(FORMATS.get(name)(found), soft_wrap=True)
    return captured.get()


def made() -> Check:
    """A cell of every verdict."""
    labels = ("worse", "better", "same", "lower", "steps", "fewer", "both", "left")
    old = {label: entry(right(60), label=label) for label in labels}
    new = [
        entry(right(30), label="worse", weights="new"),
        entry(right(90), label="better", weights="new"),
        entry(right(60), label="same"),
        entry(right(58), label="lower", weights="new"),
        entry(right(30), label="steps", arguments={"steps": 99}),
        entry(right(90), label="fewer", arguments={"steps": 1}),
        entry(right(60), label="both", weights="new", arguments={"steps": 99}),
        entry(right(60), label="arrived"),
    ]
    return check(baseline(*old.values()), baseline(*new))


FINE = check(baseline(entry(right(60))), baseline(entry(right(60))))

VERDICTS = {
    "worse": "regression", "better": "improvement", "same": "ok", "lower": "ok", "steps": "stronger attack",
    "fewer": "weaker attack", "both": "cannot be compared", "left": "gone", "arrived": "new cell",
}  # fmt: skip

HEADING = (
    "lab: failed. 9 cells: 1 regression, 1 cannot be compared, 1 gone, 1 stronger attack, 1 weaker attack, "
    "1 improvement, 1 new cell, 2 ok, 1 of these lower, but not enough to count"
)


def test_every_verdict_is_in_the_laboratory() -> None:
    assert {one.name.attack: one.verdict for one in made().comparisons} == VERDICTS


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_says_what_became_of_every_cell_that_changed(name: str) -> None:
    said, unchanged = text(name, made()), {"same", *(["better", "arrived"] if name == "github" else [])}
    assert all(label in said for label in VERDICTS if label not in unchanged)


@pytest.mark.parametrize("name", sorted(set(FORMATS.names()) - {"github"}))
def test_names_are_no_markup(name: str) -> None:
    shown = r"\[b\]x\[/b\]" if name == "markdown" else "[b]x[/b]"
    assert shown in text(name, check(baseline(), baseline(entry(right(6), label="[b]x[/b]"))))


# --- terminal ---------------------------------------------------------------------------------------------------


def test_the_terminal_ends_with_the_result_and_leaves_out_what_did_not_change() -> None:
    lines = text("terminal", made()).splitlines()
    assert lines[-1] == HEADING
    assert "same L∞ 8/255" not in "\n".join(lines)
    worse = next(line for line in lines if line.strip().startswith("worse"))
    assert worse.split() == [
        "worse", "L∞", "8/255,", "net", "regression", "60.0", "30.0", "-30.0", "(-38.7", "to", "-20.2)", "<0.0001",
    ]  # fmt: skip
    assert "images lost by worse L∞ 8/255, net: 303, 313, 323, 333, 343, 353, 363, 373, 383, 393 and 20 more" in lines
    assert text("terminal", FINE).splitlines()[-1] == "lab: passed. 1 cell: 1 ok"


def test_the_terminal_tells_cells_with_one_reason_together() -> None:
    cells = [entry(right(60), label=f"attack {i}") for i in range(5)]
    said = text("terminal", check(baseline(*cells), baseline()))
    reason = (
        "gone: attack 0 L∞ 8/255, net, attack 1 L∞ 8/255, net, attack 2 L∞ 8/255, net and 2 more: in the baseline only"
    )
    assert reason in said


def test_names_tell_seed_and_data_set_only_where_there_are_several() -> None:
    two = [entry(right(60), seed=0), entry(right(60), seed=1), entry(right(90), mode="clean")]
    said = text("terminal", check(baseline(), baseline(*two)))
    assert "PGD L∞ 8/255, net, seed 1" in said
    assert "Clean, net" in said
    assert "Digits" not in said


def test_a_narrow_terminal_goes_without_intervals_and_cuts_no_number() -> None:
    said = text("terminal", made(), width=60)
    assert "-38.7 to" not in said
    assert len([line for line in said.splitlines() if re.search(r"60\.0 +30\.0 +-30\.0 +<0\.0001", line)]) == 2
    assert max(len(line) for line in said[: said.index("regression:")].splitlines()) <= 60


# --- Markdown ---------------------------------------------------------------------------------------------------


def test_markdown_begins_with_the_result_and_folds_the_rest() -> None:
    said = text("markdown", made())
    assert said.splitlines()[0] == f"{MARKS[3]} **{HEADING}**"
    assert text("markdown", FINE).startswith(f"{MARKS[0]} **lab: passed. 1 cell: 1 ok**")
    above, cells, flips = said.split("<details>")
    assert not re.search(r"^\| (same|lower) ", above, re.MULTILINE)
    rows = [line for line in cells.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(VERDICTS)
    worse = next(re.split(r" *\| *", line.strip("| ")) for line in rows if line.startswith("| worse"))
    assert worse == [
        "worse L∞ 8/255, net", "regression", "other weights", "60.0", "30.0", "-30.0 (-38.7 to -20.2)", "100",
        "<0.0001",
    ]  # fmt: skip
    lost = next(line for line in flips.splitlines() if line.startswith("| worse"))
    assert all(f"{10 * i + 3}" in lost for i in range(30, 60))
    assert said.count("<details>") == said.count("</details>") == 2


def test_names_cannot_break_a_markdown_table() -> None:
    said = text("markdown", check(baseline(), baseline(entry(right(6), label="a|b\n*c*"))))
    assert "a\\|b \\*c\\* L∞" in said


# --- JUnit ------------------------------------------------------------------------------------------------------


def test_junit_counts_a_case_per_cell_failures_for_regressions_and_skips_what_cannot_be_compared() -> None:
    root = ElementTree.fromstring(text("junit", made()))
    (suite,) = root
    counts = {"tests": "9", "failures": "1", "errors": "0", "skipped": "2"}
    assert {key: suite.get(key) for key in counts} == {key: root.get(key) for key in counts} == counts
    cases = {case.get("name", "").split()[0]: case for case in suite.iter("testcase")}
    assert len(cases) == 9
    assert {label for label, case in cases.items() if case.find("failure") is not None} == {"worse"}
    assert {label for label, case in cases.items() if case.find("skipped") is not None} == {"both", "left"}
    failure = cases["worse"].find("failure")
    assert failure is not None
    assert failure.get("message") == (
        "regression: robust accuracy 60.0% → 30.0%: -30.0 (-38.7 to -20.2) points, p <0.0001, n = 100; other weights"
    )
    assert str(failure.text).startswith("lost: 303, 313, ")
    assert cases["worse"].get("name") == "worse L∞ 8/255, net, Digits, seed 0"
    assert cases["worse"].get("classname") == "lab.whitebox"


def test_junit_is_well_formed_whatever_a_suite_calls_its_parts() -> None:
    nasty = "<&>\"'\x00\x1b[31m ]]> \ud800 \ufffe"
    found = check(baseline(entry(right(60), label=nasty)), baseline(entry(right(20), label=nasty, weights="new")))
    (case,) = ElementTree.fromstring(text("junit", found)).iter("testcase")
    assert case.get("name") == "<&>\"'��[31m ]]> � � L∞ 8/255, net, Digits, seed 0"


# --- GitHub -----------------------------------------------------------------------------------------------------


def test_github_is_told_an_error_per_regression_and_a_warning_per_other_kind() -> None:
    lines = text("github", made()).splitlines()
    kinds = [line.partition(" ")[0] for line in lines]
    assert kinds == ["::error", *["::warning"] * 6, "::notice"]
    assert lines[0].startswith(
        "::error title=Regression%3A worse L∞ 8/255%2C net::worse L∞ 8/255, net, Digits, seed 0: "
        "robust accuracy 60.0%25 → 30.0%25"
    )
    assert lines[-1] == f"::notice title=Robustness gate::{HEADING}"
    assert text("github", FINE).splitlines() == ["::notice title=Robustness gate::lab: passed. 1 cell: 1 ok"]


def test_github_shows_ten_annotations_so_that_the_last_one_counts_the_rest() -> None:
    def several(count: int) -> list[str]:
        old = [entry(right(60), label=f"attack {i}") for i in range(count)]
        new = [entry(right(20), label=f"attack {i}", weights="new") for i in range(count)]
        lines = text("github", check(baseline(*old), baseline(*new))).splitlines()
        return [line for line in lines if line.startswith("::error")]

    assert len(several(SHOWN)) == len(several(SHOWN + 3)) == SHOWN
    assert several(SHOWN + 3)[-1].startswith("::error title=4 more regressions::attack 9 L∞ 8/255, net")


def test_github_annotations_are_escaped() -> None:
    assert annotation("error", "a: b, 50%\n", "::set-env: 50%, x\r\ny") == (
        "::error title=a%3A b%2C 50%25%0A::::set-env: 50%25, x%0D%0Ay"
    )


# --- JSON -------------------------------------------------------------------------------------------------------


def test_json_has_everything() -> None:
    content = json.loads(text("json", made()))
    assert (content["suite"], content["exit_code"], content["rule"]) == ("lab", 3, {"level": 0.05, "tolerance": None})
    cells = {cell["attack"]: cell for cell in content["cells"]}
    assert {label: cell["verdict"] for label, cell in cells.items()} == VERDICTS
    assert cells["worse"]["lost"] == [10 * i + 3 for i in range(30, 60)]
    assert (cells["worse"]["before"], cells["worse"]["after"], cells["worse"]["difference"]) == (0.6, 0.3, -0.3)
    assert cells["lower"]["needed_n"] > 100
    assert cells["both"]["p_adjusted"] is None
