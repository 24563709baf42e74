"""`harness plan`: what is stored, what is left, and every argument."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.commands.console import duration
from tests.commandline import Harness

SuiteFile = Callable[..., Path]


def test_a_plan_says_what_is_stored_and_what_is_left(suite_file: SuiteFile, call: Harness) -> None:
    before = call("plan", suite_file())
    assert "4 cells: 0 stored, 4 missing; at most 120 forward-and-backward passes" in before.output
    call("run", suite_file())
    assert "4 cells: 4 stored, 0 missing; at most 0 forward-and-backward passes" in call("plan", suite_file()).output


def test_a_resolved_plan_shows_every_argument_with_its_step_size_in_pixels(
    suite_file: SuiteFile, call: Harness
) -> None:
    path = suite_file(('"8/255"', "0.3"))
    assert "step_size=0.25, loss=cross-entropy, random_start=True" in call("plan", path, "--resolved").output
    assert "step_size" not in call("plan", path).output


def test_a_plan_as_json_can_be_computed_with(call: Harness) -> None:
    summary = json.loads(call("plan", "quickstart", "--limit", 10, "--json").output)
    assert summary["suite"] == "quickstart"
    assert summary["missing"] == summary["cells"]
    assert summary["cells"] == sum(len(job["targets"]) for job in summary["jobs"])
    assert summary["passes"] == sum(job["passes"] for job in summary["jobs"])
    fgsm = next(job for job in summary["jobs"] if job["attack"] == "FGSM")
    assert (fgsm["passes"], fgsm["threat"]) == (10, "L∞ 0.1")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_durations_are_given_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
