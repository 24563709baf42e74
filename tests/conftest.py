"""A place to work in: its own directory, store and reports, and a sound suite to change."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Tests run side by side, on networks so small that threads only wait for each other. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SOUND = """
name = "sound"

[dataset]
id = "digits"
samples = 20

[threat]
norm = "linf"
epsilon = "8/255"

[[models]]
name = "plain"
id = "zoo:digits-vgg6-none"
facts = { bn = "N" }

[[models]]
name = "batch"
id = "zoo:digits-vgg6-bn"
facts = { bn = "Y" }

[[attacks]]
name = "pgd"
steps = 3

[whitebox]
"""
"""A suite of two models and one attack in which nothing is wrong."""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a store `.harness` of its own."""
    place = tmp_path / "workplace"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("HARNESS_STORE", "HARNESS_ZOO", "HARNESS_FEATURES", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def suite_file(workplace: Path) -> Callable[..., Path]:
    """Writes the sound suite with some of its text replaced, and more text behind it."""

    def write(*changes: tuple[str, str], more: str = "", name: str = "sound") -> Path:
        text = SOUND.replace('name = "sound"', f'name = "{name}"')
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} must stand in the sound suite exactly once"
            text = text.replace(old, new)
        path = workplace / f"{name}.toml"
        path.write_text(text + more, encoding="utf-8")
        return path

    return write


_NUMBERS = itertools.count()


@pytest.fixture
def module(workplace: Path) -> Iterator[Callable[[str], str]]:
    """Writes Python source into the working directory and gives the module's name, which no other test uses."""
    names: list[str] = []

    def write(source: str) -> str:
        names.append(f"module_{next(_NUMBERS)}_of_tests")
        (workplace / f"{names[-1]}.py").write_text(source, encoding="utf-8")
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)
