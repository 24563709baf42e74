"""The command line as a user meets it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from harness.attacks import ATTACKS
from harness.cells import read_cells
from harness.cli import main
from harness.commands.console import duration
from harness.data import DATASETS
from harness.data.feature_card import feature_cards
from harness.models import MODEL_SOURCES
from harness.models.card import zoo_cards
from harness.papers import printed_tables
from harness.report import FORMATS
from harness.spec import shipped_suites
from harness.store import OUTCOME_COLUMNS, Store

SuiteFile = Callable[..., Path]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|[━╸╺]")
"""Control characters, escapes and progress bars, which have no place in a log."""


class Printed(NamedTuple):
    """What a command gave back."""

    code: int
    output: str
    errors: str


Harness = Callable[..., Printed]


@pytest.fixture
def call(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Harness:
    """The command line in this process, neither of its streams a terminal."""

    def command(*arguments: object) -> Printed:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code
        return Printed(code or 0, *capsys.readouterr())

    return command


def in_a_fresh_process(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=False)


# --- what loads what --------------------------------------------------------------------------------------------

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
    source = (
        "import sys\n"
        "from harness.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(sorted({'torch', 'torchvision', 'timm', 'sklearn'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = in_a_fresh_process(source, "report", str(path))
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.stdout == printed.output


# --- run --------------------------------------------------------------------------------------------------------


def test_a_run_prints_its_tables_and_says_what_it_did_and_nothing_else(suite_file: SuiteFile, call: Harness) -> None:
    printed = call("run", suite_file())
    assert printed.code == 0
    assert "White-box robust accuracy" in printed.output
    assert re.fullmatch(
        r"4 cells computed in \d+\.\d s, 0 found in \.harness; tables written to reports/sound/\n", printed.errors
    )
    assert not CONTROL.search(printed.output + printed.errors)


def test_a_run_writes_everything_that_it_promises(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    call("run", suite_file())
    written = {path.suffix for path in (workplace / "reports" / "sound").iterdir()}
    assert written == {".md", *(FORMATS.get(name).suffix for name in FORMATS.names())}
    store = Store(workplace / ".harness")
    cells = read_cells(store, "sound")
    assert {cell.id for cell in cells.cells} == {record.id for record in store.records()}
    for record in store.records():
        outcomes = pd.read_parquet(store.path / "records" / record.id[:2] / record.id / "outcomes.parquet")
        assert outcomes.dtypes.astype(str).to_dict() == OUTCOME_COLUMNS
        assert len(outcomes) == record.n == 20


def test_a_run_goes_where_it_is_told(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    printed = call("run", suite_file(), "--out", "there/[tables]", "--store", "records", "--limit", 5, "--seed", 3)
    assert printed.code == 0
    assert "found in records; tables written to there/[tables]/" in printed.errors
    assert {record.n for record in Store("records").records()} == {5}
    assert {record.question.seed for record in Store("records").records()} == {0, 3}
    assert (workplace / "there" / "[tables]" / "report.md").is_file()
    assert not (workplace / ".harness").exists()


def test_a_run_as_json_prints_only_json(suite_file: SuiteFile, call: Harness) -> None:
    printed = call("run", suite_file(), "--json")
    tables = json.loads(printed.output)["tables"]
    assert [table["name"] for table in tables] == ["whitebox"]


def test_a_dry_run_plans_only(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    printed = call("run", suite_file(), "--dry-run")
    # Times are measured anew.
    expected, found = (text.partition(", about ")[0] for text in (printed.output, call("plan", suite_file()).output))
    assert found == expected
    assert not (workplace / ".harness").exists()


def test_failed_cells_are_a_dash_a_reason_and_exit_code_1(
    suite_file: SuiteFile, call: Harness, workplace: Path
) -> None:
    (workplace / "fragile_of_tests.py").write_text(
        "from torch import nn\n"
        "class Fragile(nn.Module):\n"
        "    def forward(self, images):\n"
        "        if images.requires_grad:\n"
        "            raise LookupError('no gradients [here]')\n"
        "        return images.flatten(1)[:, :10]\n"
    )
    path = suite_file(('"zoo:digits-vgg6-none"', '"python:fragile_of_tests:Fragile"'))
    printed = call("run", path)
    assert printed.code == 1
    assert "–" in printed.output
    assert "failed: Traceback" in printed.errors
    assert "LookupError: no gradients [here]" in printed.errors
    assert printed.errors.endswith("1 cell failed; the same command tries again.\n")
    report = call("report", path)
    assert report.code == 1
    assert "1 cell of 4 without a record" in report.errors


# --- mistakes ---------------------------------------------------------------------------------------------------


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
        (["run", "sound.toml", "--sed", "1"], "No such option"),
        (["run", "sound.toml", "--device", "cuda:99"], "harness: --device cuda:99: this machine has"),
        (["run", "sound.toml", "--device", "banana"], "harness: --device banana: write cpu, cuda, cuda:0, ... or auto"),
        (["run", "sound.toml", "--store", "sound.toml"], "harness: the store sound.toml cannot be made: File exists"),
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


# --- plan -------------------------------------------------------------------------------------------------------


def test_a_plan_says_what_is_stored_and_what_is_left(suite_file: SuiteFile, call: Harness) -> None:
    before = call("plan", suite_file())
    assert "4 cells: 0 stored, 4 missing; at most 120 forward-and-backward passes" in before.output
    call("run", suite_file())
    assert "4 cells: 4 stored, 0 missing; at most 0 forward-and-backward passes" in call("plan", suite_file()).output


def test_a_resolved_plan_shows_every_argument_with_its_step_size_in_pixels(
    suite_file: SuiteFile, call: Harness
) -> None:
    path = suite_file(('"8/255"', "0.3"))
    assert "step_size=0.25, loss=cross-entropy, random_start=True" in call("plan", path, "--resolved").output
    assert "step_size" not in call("plan", path).output


def test_a_plan_as_json_can_be_computed_with(call: Harness) -> None:
    summary = json.loads(call("plan", "quickstart", "--limit", 10, "--json").output)
    assert summary["suite"] == "quickstart"
    assert summary["missing"] == summary["cells"]
    assert summary["cells"] == sum(len(job["targets"]) for job in summary["jobs"])
    assert summary["passes"] == sum(job["passes"] for job in summary["jobs"])
    fgsm = next(job for job in summary["jobs"] if job["attack"] == "FGSM")
    assert (fgsm["passes"], fgsm["threat"]) == (10, "L∞ 0.1")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_durations_are_given_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- report -----------------------------------------------------------------------------------------------------

CLAIMS = """
[[claims]]
name = "robust"
text = "Without BN the network is more robust"
greater = { "facts.bn" = "N" }
than = { "facts.bn" = "Y" }
match = "attack"
"""


def test_claims_are_judged_and_can_be_printed_alone(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    path = suite_file(more=CLAIMS)
    ran = call("run", path)
    assert ran.output.index("White-box robust accuracy") < ran.output.index("Without BN the network is more robust")
    alone = call("report", path, "--claims")
    assert (alone.code, alone.output) == (0, ran.output[ran.output.index("Claims\n") :])
    (claim,) = json.loads(call("report", path, "--claims", "--json").output)["claims"]
    assert claim == json.loads((workplace / "reports" / "sound" / "claims.json").read_text("utf-8"))[0]
    assert (claim["name"], claim["pairs"][0]["n"]) == ("robust", 20)
    assert f"robust {claim['verdict']}" in re.sub(" +", " ", alone.output)


def test_a_suite_without_claims_says_so_when_asked(suite_file: SuiteFile, call: Harness) -> None:
    call("run", suite_file())
    printed = call("report", suite_file(), "--claims")
    assert (printed.code, printed.output) == (0, "")
    assert "suite sound makes no claims" in printed.errors


def test_the_papers_numbers_can_be_printed_beside_ours(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    path = suite_file(more='[[tables]]\nreference = "benz2021/1"\npart = { dataset = "cifar10" }\n')
    named = ("--set", "dataset.paper=cifar10", "--set", "models.0.paper=vgg16")
    ran = call("run", path, *named)
    assert "Compared with" not in ran.output
    alone = call("report", path, *named, "--compare")
    assert alone.code == 0
    assert [line.split()[:2] for line in alone.output.splitlines() if " paper " in line][2] == ["CIFAR10", "VGG16"]
    assert "Compared with the paper: 1 of 30 numbers." in alone.output
    (table,) = json.loads(call("report", path, *named, "--compare", "--json").output)["comparisons"]
    files = workplace / "reports" / "sound"
    assert table == json.loads((files / "benz2021-1-compared.json").read_text("utf-8"))
    assert (files / "benz2021-1.tex").exists()


def test_a_suite_without_a_table_of_a_paper_says_so_when_asked(suite_file: SuiteFile, call: Harness) -> None:
    call("run", suite_file())
    printed = call("report", suite_file(), "--compare")
    assert (printed.code, printed.output) == (0, "")
    assert "has no table of a paper" in printed.errors


def test_a_report_repeats_what_the_run_printed_and_wrote(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    ran = call("run", suite_file())
    reported = call("report", suite_file(), "--out", "again")
    assert reported.code == 0
    assert reported.output == ran.output
    for file in (workplace / "again").iterdir():
        assert file.read_bytes() == (workplace / "reports" / "sound" / file.name).read_bytes()


def test_a_report_writes_the_formats_that_it_is_asked_for(
    suite_file: SuiteFile, call: Harness, workplace: Path
) -> None:
    call("run", suite_file(), "--out", "first")
    call("report", suite_file(), "--out", "again", "--format", "tex, csv")
    assert {file.suffix for file in (workplace / "again").iterdir()} == {".md", ".tex", ".csv"}


def test_several_suites_fill_the_papers_table_together(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    table = '[[tables]]\nreference = "benz2021/1"\npart = { dataset = "%s" }\n[[claims]]\npaper = "B01"\n'
    for name, data in (("one", "cifar10"), ("two", "svhn")):
        path = suite_file(
            ('samples = 20', f'samples = 20\npaper = "{data}"'),
            ('id = "zoo:digits-vgg6-none"', 'id = "zoo:digits-vgg6-none"\npaper = "vgg11"'),
            ('id = "zoo:digits-vgg6-bn"', 'id = "zoo:digits-vgg6-bn"\npaper = "vgg11"'),
            name=name, more=table % data,
        )  # fmt: skip
        if name == "one":
            call("run", path)
    incomplete = call("report", "one.toml", "two.toml", "--compare")
    assert incomplete.code == 1
    assert "never run with the store .harness: two" in incomplete.errors
    assert "Never run with this store, n/a here: two." in incomplete.output
    call("run", "two.toml")
    joint = call("report", "one.toml", "two.toml", "--json")
    content = json.loads(joint.output)
    assert (joint.code, content["suites"]) == (0, ["one", "two"])
    assert [row["header"][0] for row in content["tables"][0]["rows"]] == ["SVHN"] * 4 + ["CIFAR10"] * 6
    assert len(content["claims"][0]["pairs"]) == 2
    written = {file.name for file in (workplace / "reports" / "benz2021-1").iterdir()}
    assert {"report.md", "benz2021-1.tex", "benz2021-1-compared.csv", "claims.json"} <= written


def test_suites_that_cannot_be_joined_are_refused_in_words(suite_file: SuiteFile, call: Harness) -> None:
    path = suite_file()
    twice = call("report", path, path)
    assert (twice.code, twice.errors) == (2, "harness: suite sound is named twice.\n     name each suite once\n")
    none = call("report", path, suite_file(name="other"))
    assert none.code == 2
    assert "suite sound has no table of a paper" in none.errors


# --- list -------------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[], list[str]]] = {
    "models": lambda: [f"zoo:{name}" for name in zoo_cards()],
    "attacks": lambda: [*ATTACKS.names(), "torchattacks:NAME", "autoattack:ENSEMBLE"],
    "datasets": DATASETS.names,
    "features": lambda: list(feature_cards()),
    "suites": lambda: list(shipped_suites()),
    "sources": lambda: [f"{name}:" for name in MODEL_SOURCES.names()],
    "papers": lambda: [table.reference for table in printed_tables()],
}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_exists_is_listed_with_a_summary(kind: str, call: Harness) -> None:
    rows = json.loads(call("list", kind, "--json").output)
    assert [row["name"] for row in rows] == KINDS[kind]()
    assert all(row.get("summary") or row.get("title") for row in rows)
    lines = call("list", kind).output.splitlines()
    assert lines[0].split()[0] == "name"
    assert [line.split()[0] for line in lines[1:]] == KINDS[kind]()


@pytest.mark.parametrize("pattern", ["digits-vgg6-*", "zoo:digits-vgg6-*", "vgg6-[bgn]"])
def test_a_pattern_picks_names_with_or_without_their_source(pattern: str, call: Harness) -> None:
    names = [row["name"] for row in json.loads(call("list", "models", pattern, "--json").output)]
    expected = [] if pattern.startswith("vgg") else ["zoo:digits-vgg6-bn", "zoo:digits-vgg6-gn", "zoo:digits-vgg6-none"]
    assert names == expected


def test_a_pattern_without_wildcards_is_a_part_of_the_name(call: Harness) -> None:
    names = [row["name"] for row in json.loads(call("list", "attacks", "di-ti", "--json").output)]
    assert names == [name for name in ATTACKS.names() if "di-ti" in name]
    assert call("list", "attacks", "no such thing").output == 'no attacks named "no such thing"\n'


def test_twins_are_listed_with_their_census_and_the_ids_of_their_weights(
    call: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.models.twins.architectures", lambda: ["torchvision:vgg11", "torchvision:vgg11_bn"])
    rows = json.loads(call("list", "models", "--twins", "--json").output)
    assert [(row["name"], row["norm"], row["weights"]) for row in rows] == [
        ("torchvision:vgg11", "none", ["torchvision:vgg11@IMAGENET1K_V1"]),
        ("torchvision:vgg11_bn", "bn", ["torchvision:vgg11_bn@IMAGENET1K_V1"]),
    ]
    assert rows[1]["layers"] == {"bn": 8}
    printed = call("list", "models", "vgg11_bn", "--twins").output.splitlines()
    assert printed[0].split() == ["name", "twins", "norm", "parameters", "weights"]
    assert [line.split()[0] for line in printed[1:]] == ["torchvision:vgg11_bn"]


def test_only_models_have_twins(call: Harness) -> None:
    printed = call("list", "attacks", "--twins")
    assert printed.code == 2
    assert "harness list models --twins" in printed.errors


def test_a_broken_file_does_not_hide_the_others(
    workplace: Path, call: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(workplace / "zoo"))
    for folder in ("zoo", "suites"):
        (workplace / folder).mkdir()
        (workplace / folder / "broken.toml").write_text("summary = ")
    models = {row["name"]: row for row in json.loads(call("list", "models", "--json").output)}
    assert "cannot be read as TOML" in models["zoo:broken"]["summary"]
    assert "zoo:digits-vgg6-bn" in models
    suites = {row["name"]: row for row in json.loads(call("list", "suites", "--json").output)}
    assert "is not valid TOML" in suites["broken"]["title"]
    assert "quickstart" in suites


def test_a_closed_pipe_ends_a_listing_quietly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m harness list attacks | head -1", shell=True, capture_output=True, text=True, check=False,
        env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.startswith("name")
    assert "Traceback" not in done.stderr
