"""What a command loads: help nothing heavy, reports no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commandline import Harness
from tests.processes import TELLING_WHAT_IT_LOADED, in_a_fresh_process

SuiteFile = Callable[..., Path]


HEAVY = (
    "sorted({'torch', 'pandas', 'numpy', 'torchvision', 'timm', 'torchattacks', 'sklearn', 'rich'} & set(sys.modules))"
)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["report", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    source = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print({HEAVY}, file=sys.stderr))\n"
        "from harness.cli import main\n"
        "main()\n"
    )
    done = in_a_fresh_process(source, *arguments)
    assert done.returncode == 0
    assert done.stdout
    assert done.stderr.strip() == "[]"


def test_a_report_needs_no_torch(suite_file: SuiteFile, call: Harness) -> None:
    path = suite_file()
    printed = call("run", path)
    done = in_a_fresh_process(TELLING_WHAT_IT_LOADED, "report", str(path))
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.stdout == printed.output
