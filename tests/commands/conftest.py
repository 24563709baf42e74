"""The command line, in a place of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commandline import Harness, calling


@pytest.fixture
def call(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Harness:
    """A function that runs a command in the workplace."""
    return calling(monkeypatch, capsys)
