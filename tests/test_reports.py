"""The committed reports: what their overview says agrees with the judged claims beside it, and leaves no report out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

REPORTS = Path(__file__).resolve().parents[1] / "reports"
OVERVIEW = (REPORTS / "README.md").read_text(encoding="utf-8")
SUITES = sorted(path.parent.name for path in REPORTS.glob("*/report.md"))


def rows_under(heading: str) -> list[dict[str, str]]:
    """The first table under a heading, a dictionary per row."""
    section = OVERVIEW.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return [dict(zip(header, row, strict=True)) for row in rows]


GLANCE = rows_under("At a glance")


def judged(row: dict[str, str]) -> dict[str, Any]:
    """The claim of a row, as its report holds it."""
    (suite,) = re.findall(r"^\[(\w+)\]\(\1/report\.md\)$", row["report"])
    claims = json.loads((REPORTS / suite / "claims.json").read_text(encoding="utf-8"))
    return next(claim for claim in claims if claim["name"] == row["claim"])


@pytest.mark.parametrize("row", GLANCE, ids=lambda row: f"{row['claim']} {row['report'].partition(']')[0][1:]}")
def test_every_row_has_the_numbers_of_its_report(row: dict[str, str]) -> None:
    claim = judged(row)
    pairs = [pair for pair in claim["pairs"] if pair["difference"] is not None]
    differences = sorted(100 * pair["difference"] for pair in pairs)
    ends = dict.fromkeys(f"{difference:+.1f}" for difference in (differences[0], differences[-1]))
    counted = {
        "verdict": claim["verdict"],
        "as claimed": f"{sum(pair['difference'] > 0 for pair in pairs)} of {len(pairs)}",
        "significant": str(sum(pair["verdict"] == "reproduced" for pair in pairs)),
        "against": str(sum(pair["verdict"] == "contradicted" for pair in pairs)),
        "difference": " to ".join(ends),
    }
    assert {key: row[key] for key in counted} == counted


def test_every_judged_claim_has_a_row() -> None:
    claims = [
        (claim["name"], path.parent.name)
        for path in sorted(REPORTS.glob("*/claims.json"))
        for claim in json.loads(path.read_text(encoding="utf-8"))
        if claim.get("paper") and claim["verdict"] != "not run"
    ]
    shown = [(row["claim"], row["report"].partition("]")[0][1:]) for row in GLANCE]
    assert sorted(claims) == sorted(shown)


def test_every_report_is_listed_with_its_command() -> None:
    listed = {row["report"]: row["made by"] for row in rows_under("Reports")}
    assert sorted(listed) == [f"[{suite}]({suite}/report.md)" for suite in SUITES]
    without_command = [
        suite for suite in SUITES if f"harness run suites/{suite}.toml" not in listed[f"[{suite}]({suite}/report.md)"]
    ]
    assert without_command == []


@pytest.mark.parametrize("suite", SUITES)
def test_every_report_says_how_to_make_it_again(suite: str) -> None:
    report = (REPORTS / suite / "report.md").read_text(encoding="utf-8")
    assert f"harness run suites/{suite}.toml" in report.partition("## Make it again")[2]
