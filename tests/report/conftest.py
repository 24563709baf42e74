"""Laboratories for the tests of reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.report import Report
from harness.spec import TableSpec

from .lab import Lab
from .printed import awais_lab, report, transfer_lab, whitebox_lab

T, F = True, False


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """An empty laboratory with one data set of four images."""
    lab = Lab(tmp_path / "store")
    lab.data()
    return lab


@pytest.fixture
def whitebox(lab: Lab) -> Lab:
    """Two models under two attacks and two threat models, four images."""
    l2 = ("l2", 0.5, "L2 0.5")
    for name, norm, clean in (("plain", "none", [T, T, T, F]), ("batch", "bn", [T, T, T, T])):
        lab.model(name, label=name.title(), norm=norm, bn="Y" if norm == "bn" else "N")
        lab.judge_clean(name, clean)
    lab.attack("plain", "plain", [T, T, F, F], "PGD")
    lab.attack("batch", "batch", [T, F, F, F], "PGD")
    lab.attack("plain", "plain", [T, T, T, F], "PGD", l2)
    lab.attack("batch", "batch", [T, T, F, F], "PGD", l2)
    lab.attack("plain", "plain", [T, F, F, F], "CW")
    lab.attack("batch", "batch", [F, F, F, F], "CW")
    lab.attack("plain", "plain", [T, T, F, F], "CW", l2)
    lab.attack("batch", "batch", None, "CW", l2)
    return lab


@pytest.fixture
def transfer(lab: Lab) -> Lab:
    """Two surrogates, three targets, four images; clean errors differ."""
    clean = {"a": [T, T, T, F], "b": [T, T, F, T], "c": [T, F, T, T]}
    for name, correct in clean.items():
        lab.model(name, label=name.upper(), norm="bn", bn="Y")
        lab.judge_clean(name, correct)
    lab.attack("a", "a", [F, F, F, F], "MI", mode="transfer")
    lab.attack("a", "b", [F, T, F, T], "MI")
    lab.attack("a", "c", [F, F, T, T], "MI")
    lab.attack("b", "a", [T, F, T, F], "MI")
    lab.attack("b", "b", [F, F, F, F], "MI", mode="transfer")
    lab.attack("b", "c", [T, F, T, T], "MI")
    return lab


@pytest.fixture
def make_lab(tmp_path: Path) -> Callable[[str], Lab]:
    """Further laboratories, by folder name."""
    return lambda name: Lab(tmp_path / name)


@pytest.fixture(scope="session")
def table4(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A suite that fills Table 4 of benz2021; read only."""
    return transfer_lab(tmp_path_factory.mktemp("table4"))


@pytest.fixture(scope="session")
def table1(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A suite with parts of Tables 1, 2 and 10 of benz2021; read only."""
    return whitebox_lab(tmp_path_factory.mktemp("table1"))


@pytest.fixture(params=["benz2021/1", "benz2021/2", "benz2021/4", "awais2020/1"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Report:
    """Tables with headers of two lines, joined pairs, a grouped header, and headings."""
    reference = request.param
    if reference == "benz2021/4":
        return report(transfer_lab(tmp_path), TableSpec(reference=reference))
    if reference == "awais2020/1":
        return report(awais_lab(tmp_path), TableSpec(reference=reference))
    return report(whitebox_lab(tmp_path), TableSpec(reference=reference, where={"norm": "l2"}))
