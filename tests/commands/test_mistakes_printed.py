"""Mistakes are printed in words, with exit code 2, and nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commandline import Harness

SuiteFile = Callable[..., Path]


def test_mistakes_are_printed_in_words_with_exit_code_2_and_nothing_is_done(
    suite_file: SuiteFile, call: Harness, workplace: Path
) -> None:
    path = suite_file(("steps = 3", "steps = 0"), ("[whitebox]", "[whitebocks]"))
    for verb in ("run", "plan"):
        printed = call(verb, path)
        assert printed.code == 2
        assert printed.output == ""
        assert printed.errors == (
            f"harness: {path}: 3 mistakes, nothing was run.\n"
            "\n  1. whitebocks: unknown key.\n     did you mean: whitebox?\n"
            "\n  2. attacks[0].steps: input should be greater than or equal to 1 (given: 0)\n"
            "\n  3. suite: nothing says what runs on what; add [whitebox] or [transfer]\n"
            "     or leave attacks and threat models out, to evaluate clean images only\n"
        )
    assert [file.name for file in workplace.iterdir()] == ["sound.toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "No such command 'rnu'"),
        (["run"], "Missing argument 'SUITE'"),
        (["run", "sound.toml", "--limit", "0"], "0 is not in the range x>=1"),
        (["run", "sound.toml", "--seed", "text"], "'text' is not a valid integer"),
        (["run", "sound.toml", "--seed", str(2**63)], f"{2**63} is not in the range"),
        (["run", "sound.toml", "--sed", "1"], "No such option"),
        (["run", "sound.toml", "--device", "cuda:99"], "harness: --device cuda:99: this machine has"),
        (["run", "sound.toml", "--device", "banana"], "harness: --device banana: write cpu, cuda, cuda:0, ... or auto"),
        (["run", "sound.toml", "--store", "sound.toml"], "harness: the store sound.toml cannot be written: Not a "),
        (["run", "sound.toml", "--out", "sound.toml"], "harness: tables cannot be written to sound.toml: File exists"),
        (["run", "sound.toml", "--set", "steps"], "--set steps: write key.path=value"),
        (["run", "missing.toml"], 'harness: there is no suite file "missing.toml"'),
        (["run", "."], 'harness: "." is a directory, not a suite file'),
        (["plan", "missing"], 'there is no suite file "missing"'),
        (["report", "missing"], 'there is no suite file "missing"'),
        (["report", "sound.toml"], "harness: suite sound was never run with the store .harness"),
        (["report", "sound.toml", "--format", "mdd"], 'report format "mdd" is not registered'),
        (["train", "missing"], 'harness: there is no model card "missing"'),
        (["list", "things"], "'things' is not one of 'models', 'attacks'"),
    ],
)
def test_wrong_usage_has_exit_code_2_and_no_traceback(
    arguments: list[str], message: str, suite_file: SuiteFile, call: Harness
) -> None:
    suite_file()
    printed = call(*arguments)
    assert printed.code == 2
    assert message in printed.errors
    assert "Traceback" not in printed.errors


def test_a_defect_of_ours_keeps_its_traceback(call: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **keywords: object) -> None:
        raise AssertionError("our fault")

    monkeypatch.setattr("harness.commands.list_", broken)
    with pytest.raises(AssertionError, match="our fault"):
        call("list", "models")
