"""Versions of attacks: ours as they say, those of users also by their source."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from harness.attacks import ATTACKS, versions
from harness.attacks.resolve import resolve
from harness.attacks.versions import version_of
from harness.core.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)

SOURCE = """
from harness.attacks.fgsm import pgd
from helper_of_tests import STEPS

def mine():
    return pgd(steps=STEPS)
"""


def version_with(steps: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an attack whose steps another module says, written and imported anew."""
    (folder / "attack_of_tests.py").write_text(SOURCE, encoding="utf-8")
    (folder / "helper_of_tests.py").write_text(f"STEPS = {steps}\n", encoding="utf-8")
    for name in ("attack_of_tests", "helper_of_tests"):
        sys.modules.pop(name, None)
    versions._source.cache_clear()
    importlib.invalidate_caches()
    monkeypatch.setitem(ATTACKS._entries, "mine", importlib.import_module("attack_of_tests").mine)
    return version_of(resolve("mine", {}, LINF, {}))


def test_an_attack_of_yours_has_the_version_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    first = version_with(1, tmp_path, monkeypatch)
    assert first.startswith("1, source ")
    assert version_with(20, tmp_path, monkeypatch) != first, "a module that it imports was edited"
    assert version_with(1, tmp_path, monkeypatch) == first


@pytest.mark.parametrize(("name", "version"), [("pgd", "1"), ("square", "2"), ("ni-fgsm", "2"), ("mi-fgsm", "1")])
def test_ours_say_their_versions_themselves(name: str, version: str) -> None:
    assert version_of(resolve(name, {}, LINF, {})) == version
