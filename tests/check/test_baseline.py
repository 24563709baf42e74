"""The file: what is written is read back, and what cannot be read says why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.check import Baseline, Rule, read_baseline, write_baseline
from harness.core.errors import HarnessError

from .made import baseline, entry, right

MADE = baseline(
    entry(right(60)), entry(right(99), mode="clean"), entry(right(20), mode="transfer", surrogate="Quelle ∞ \"x\""),
    rule=Rule(tolerance=0.5), environments=[{"harness": "0.1.0", "device": "CPU"}],
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "baselines" / "lab.json"
    write_baseline(path, MADE)
    return path


def test_a_baseline_is_read_back_as_it_was_written(file: Path) -> None:
    assert read_baseline(file, "lab") == MADE


@pytest.mark.parametrize(
    "made", [MADE, baseline(), baseline(entry(right(1, 1)), n=1)], ids=["full", "empty", "one image"]
)
def test_the_text_is_json_of_the_same_content(made: Baseline) -> None:
    assert Baseline.model_validate(json.loads(made.text())) == made


def test_every_cell_stands_in_a_line_of_its_own(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert sum('"correct"' in line for line in lines) == len(MADE.cells)
    other = MADE.model_copy(update={"cells": [*MADE.cells[:2], entry(right(10), mode="transfer", surrogate="Quelle")]})
    changed = [new for new, old in zip(other.text().splitlines(), lines, strict=True) if new != old]
    assert len(changed) == 1


def test_when_and_where_it_was_written_do_not_make_another_baseline() -> None:
    later = MADE.model_copy(update={"written": "2099", "harness": "9", "environments": []})
    assert later.says_the_same_as(MADE)
    assert not MADE.model_copy(update={"rule": Rule()}).says_the_same_as(MADE)
    assert not MADE.model_copy(update={"cells": MADE.cells[1:]}).says_the_same_as(MADE)


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    content = json.loads(MADE.text())
    change(content)
    return json.dumps(content)


BROKEN: dict[str, tuple[str, str]] = {
    "no JSON": ("{ truncated", "is damaged: Expecting property name"),
    "not UTF-8": ("\udcff", "is damaged: 'utf-8' codec can't decode"),
    "a list": ("[]", "is no baseline of harness"),
    "a foreign file": ('{"name": "something"}', "is no baseline of harness"),
    "a newer schema": (changed(lambda c: c.update(schema_version=2)), "has schema 2, this version of harness reads 1"),
    "an older schema": (changed(lambda c: c.update(schema_version=0)), "has schema 0, this version of harness reads 1"),
    "another suite": (changed(lambda c: c.update(suite="other")), "is the baseline of suite other, not of lab"),
    "an unknown key": (changed(lambda c: c.update(extra=1)), "is damaged: extra: unknown key"),
    "a lost key": (
        changed(lambda c: c["cells"][1].pop("question")),
        "is damaged: cells[1].question: this key is required",
    ),
    "a cell twice": (changed(lambda c: c["cells"].append(c["cells"][0])), "is damaged: a cell is there twice"),
    "verdicts cut": (
        changed(lambda c: c["cells"][0].update(correct="gA==")),
        "the verdicts are not those of 100 images",
    ),
    "no base64": (changed(lambda c: c["cells"][0].update(correct="?")), "is damaged: the verdicts are not base64"),
    "indices cut": (changed(lambda c: c["images"]["pixels"].update(indices="1-5")), "are not those of 100 images"),
    "images lost": (changed(lambda c: c["images"].clear()), "is damaged: the images of PGD on net are not listed"),
    "a bad level": (
        changed(lambda c: c["rule"].update(level=2)),
        "is damaged: rule.level: input should be less than 1",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_file_that_cannot_be_used_says_why_and_what_to_do(broken: str, file: Path) -> None:
    text, message = BROKEN[broken]
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(HarnessError) as error:
        read_baseline(file, "lab")
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert "--baseline" in str(error.value)


def test_no_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="(?s)there is no baseline .*harness check lab --baseline .* --update"):
        read_baseline(tmp_path / "none.json", "lab")
    with pytest.raises(HarnessError, match="cannot be read: Is a directory"):
        read_baseline(tmp_path, "lab")


def test_a_write_that_fails_leaves_the_old_file_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    real = Path.write_text

    def full(path: Path, text: str, **keywords: Any) -> int:
        real(path, text[: len(text) // 2], **keywords)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(HarnessError, match="cannot be written: No space left on device"):
        write_baseline(file, baseline())
    assert file.read_bytes() == before


def test_a_place_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError, match="cannot be written"):
        write_baseline(tmp_path / "file" / "lab.json", MADE)
    assert os.listdir(tmp_path) == ["file"]
