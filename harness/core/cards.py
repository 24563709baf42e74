"""Cards: TOML files that people write above the table `[result]`, and a command below it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.core.errors import HarnessError, Problems, did_you_mean, in_one_line
from harness.core.extension import extended, merge_tables
from harness.core.validation import explain
from harness.core.whole import whole

C = TypeVar("C", bound=BaseModel)

RESULT_TABLE = re.compile(r"^(?:# Written by `harness \w+`; not meant to be edited\.\n)?\[result\]", re.MULTILINE)
"""Where the table begins, whether or not the comment above it was kept."""

OWN = ("summary", "result")
"""Keys that no card inherits."""

WHOLE = ("train_data", "test_data", "source")
"""Tables whose keys belong to their id: they are inherited or replaced, not merged."""


def card_directories(folder: str, variable: str) -> list[Path]:
    """Where cards are looked for: where `variable` says, `./<folder>`, the source tree's, the installed package's."""
    package = Path(__file__).resolve().parents[1]
    named = os.environ.get(variable)
    candidates = [*([Path(named)] if named else []), Path(folder), package.parent / folder, package / folder]
    return list(dict.fromkeys(path.resolve() for path in candidates if path.is_dir()))


def cards_in(directories: Iterable[Path]) -> dict[str, Path]:
    """Every card's name and file, in the directories and in their folders.

    Of two with one name, that of the earlier directory counts; in a directory, its own before those of its folders.
    """
    cards: dict[str, Path] = {}
    for directory in directories:
        files = sorted(directory.glob("*.toml")) + sorted(directory.glob("*/*.toml"))
        for file in sorted(files, key=lambda file: file.stem):
            cards.setdefault(file.stem, file)
    return cards


def find_card(name: str, cards: Mapping[str, Path], what: str) -> Path:
    """A card by file or by name. Raises HarnessError with suggestions for an unknown one."""
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise HarnessError(f"there is no file {name}.\n     {did_you_mean(path.stem, cards)}")
        return path
    if name not in cards:
        raise HarnessError(f'there is no {what} "{name}".\n     {did_you_mean(name, cards)}')
    return cards[name]


def check_folder(folder: Path, way_out: str) -> None:
    """Make a folder. Raises HarnessError, with a way out, when that is impossible or the folder takes no files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"{folder} cannot be made: {error.strerror}.\n     {way_out}") from None
    if not os.access(folder, os.W_OK):
        raise HarnessError(f"{folder} cannot be written to.\n     {way_out}")


def read_card(path: Path, model: type[C]) -> C:
    """Read and validate a card and what it extends. Raises HarnessError naming file and key."""
    raw = extended(path, "card", _tables, _over)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise Problems(str(path), explain(error, model, raw), "the card cannot be used") from None


def _tables(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        tables = tomllib.loads(text)
        kept = tomllib.loads(_above_result(text))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise HarnessError(f"{path} cannot be read as TOML: {in_one_line(error)}") from None
    if kept != {key: value for key, value in tables.items() if key != "result"}:
        raise HarnessError(
            f"{path}: what stands below [result] would be lost with the next result.\n     move it above [result]"
        )
    return tables


def _above_result(text: str) -> str:
    """What people wrote of a card."""
    return RESULT_TABLE.split(text, maxsplit=1)[0]


def _over(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A card over the one that it extends. What a card is called and what came out are its own."""
    inherited = {key: value for key, value in base.items() if key not in OWN and not (key in WHOLE and key in change)}
    return merge_tables(inherited, change)


def write_result(path: Path, result: Mapping[str, Any], command: str) -> None:
    """Replace the card's `[result]` table, leaving everything above it as it is."""
    above = _above_result(path.read_text(encoding="utf-8-sig")).rstrip() + "\n"
    header = f"\n# Written by `harness {command}`; not meant to be edited.\n[result]\n"
    lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in result.items())
    with whole(path) as temporary:
        temporary.write_text(above + header + lines, encoding="utf-8")


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
