"""Suite files: where they are, what they hold, and the files that they extend."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, did_you_mean
from harness.core.extension import extended, merge_tables
from harness.spec.suite import SINGULAR


def suite_directories() -> list[Path]:
    """Where suites are found by name: `./suites`, then the source tree's or the installed package's."""
    package = Path(__file__).resolve().parents[1]
    return [path for path in (Path("suites"), package.parent / "suites", package / "suites") if path.is_dir()]


def shipped_suites() -> dict[str, Path]:
    """Name and file of every suite that can be run by name; earlier directories win."""
    found: dict[str, Path] = {}
    for directory in suite_directories():
        for file in sorted(directory.glob("*.toml")):
            found.setdefault(file.stem, file)
    return found


def find_suite(name: str | Path) -> Path:
    """A suite's file, by path or by name. Raises HarnessError with suggestions."""
    path, shipped = Path(name), shipped_suites()
    if path.is_file():
        return path
    if path.stem in shipped and (path.suffix == "" or path.parent.name == "suites"):
        return shipped[path.stem]
    if path.is_dir():
        inside = ", ".join(file.name for file in sorted(path.glob("*.toml"))) or "no .toml file"
        raise HarnessError(f'"{name}" is a directory, not a suite file.\n     in it: {inside}')
    raise HarnessError(f'there is no suite file "{name}".\n     {did_you_mean(path.stem, shipped)}')


def read_toml(path: Path) -> dict[str, Any]:
    """A suite file with the files that it extends merged in: tables key by key, lists replaced.

    Raises:
        HarnessError: for a file that cannot be read or is not TOML, or an `extend` that leads nowhere or in a ring.
    """
    return extended(path, "suite", _read, _merge)


def _read(path: Path) -> dict[str, Any]:
    try:
        # utf-8-sig: some editors put a byte-order mark in front.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise HarnessError(f"{path} is not a text file in UTF-8: byte {error.start} cannot be read") from None
    except tomllib.TOMLDecodeError as error:
        raise HarnessError(f"{path} is not valid TOML: {str(error)[0].lower()}{str(error)[1:]}") from None
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror}") from None


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`change` over `base`; `[dataset]` and `[[datasets]]` are one thing, and so are `[threat]` and `[[threats]]`."""
    other_form = {**SINGULAR, **{many: one for one, many in SINGULAR.items()}}
    replaced = {other_form[key] for key in change if key in other_form}
    return merge_tables({key: value for key, value in base.items() if key not in replaced}, change)
