"""The command line in this process, as a user meets it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from harness.cli import main


class Printed(NamedTuple):
    """What a command gave back."""

    code: int
    output: str
    errors: str


Harness = Callable[..., Printed]


def calling(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Harness:
    """A function that gives a command its arguments, neither of its streams a terminal."""

    def command(*arguments: object) -> Printed:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code
        return Printed(code or 0, *capsys.readouterr())

    return command
