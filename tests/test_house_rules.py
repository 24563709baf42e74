"""Lint, format, types and the direction of imports are tests like all others."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

TOOLS = {
    "ruff finds nothing": [sys.executable, "-m", "ruff", "check", "."],
    "the code is formatted": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "mypy --strict finds nothing": [sys.executable, "-m", "mypy"],
    "imports go down the stack": [str(Path(sys.executable).with_name("lint-imports"))],
}

LONGEST_MODULE = 200
"""Lines; what is longer holds two concepts."""


@pytest.mark.parametrize("rule", TOOLS)
def test_house_rule_holds(rule: str) -> None:
    result = subprocess.run(TOOLS[rule], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{rule}:\n{result.stdout}{result.stderr}"


def test_every_module_is_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "harness").rglob("*.py")}
    assert lengths
    assert {path.name: length for path, length in lengths.items() if length > LONGEST_MODULE} == {}
