"""Figures of tables: every label is drawn as it stands."""

from __future__ import annotations

import warnings

import pytest

from harness.report import Table, render
from harness.report.figure import svg
from harness.spec import TableSpec

from .lab import Lab


def table(lab: Lab, label: str, mode: str) -> Table:
    """A table of one network of that label, in a mode that is drawn as bars or as a map."""
    lab.model("net", label=label)
    lab.judge_clean("net", [True] * 4)
    lab.attack("net", "net", [True, False, False, False], label, mode="transfer" if mode == "transfer" else None)
    columns = ["target"] if mode == "transfer" else ["attack"]
    spec = TableSpec(name="tab", title=label, rows=["model" if mode == "whitebox" else "surrogate"], columns=columns)
    return render(lab.suite(spec), lab.cells(), lab.store).tables[0]


@pytest.mark.parametrize("mode", ["whitebox", "transfer"])
def test_a_dollar_sign_is_no_mathematics(mode: str, lab: Lab) -> None:
    assert svg(table(lab, "$\\frac$, from $5 to $6", mode))


@pytest.mark.parametrize("mode", ["whitebox", "transfer"])
def test_control_characters_are_drawn_as_blanks(mode: str, lab: Lab) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert svg(table(lab, "a\tb\x1b[31m\nc", mode))
