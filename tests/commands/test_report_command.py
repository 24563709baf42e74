"""`harness report`: the tables again, claims, formats, several suites."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from harness.plan import Options, make_plan
from tests.commandline import Harness

SuiteFile = Callable[..., Path]


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


def test_a_report_refuses_to_set_what_only_another_run_can_change(suite_file: SuiteFile, call: Harness) -> None:
    path = suite_file()
    call("run", path, "--set", "attacks.0.steps=1")
    assert call("report", path, "--set", "attacks.0.steps=1", "--set", "title=Other").code == 0
    for command in (("report", path), ("check", path, "--baseline", "base.json", "--update")):
        refused = call(*command, "--set", "attacks.0.steps=5")
        assert refused.code == 2
        assert refused.errors == (
            "harness: --set attacks.0.steps=5: the last run of sound was without it, and its records stay as they are."
            "\n     run the suite with it, or set one of name, title, paper, notes, tables, claims\n"
        )


def test_a_suite_that_was_changed_since_its_run_is_not_taken_for_the_one_that_ran(
    suite_file: SuiteFile, call: Harness
) -> None:
    ran = call("run", suite_file(), "--set", "seeds=[3]")
    for shown in ('[[tables]]\nrows = ["model"]\ncolumns = ["attack"]\n', CLAIMS):
        assert call("report", suite_file(('name = "sound"', 'title = "Other"\nname = "sound"'), more=shown)).code == 0
    for change in (
        ("steps = 3", "steps = 4"),
        ('"8/255"', '"4/255"'),
        ("samples = 20", 'samples = 20\nkeep = "all-correct"'),
    ):
        path = suite_file(change)
        reported, refused = call("report", path), call("check", path, "--baseline", "base.json", "--update")
        assert (reported.code, reported.output) == (1, ran.output), "what was run can still be looked at"
        assert (refused.code, refused.output) == (2, "")
        for errors in (reported.errors, refused.errors):
            assert "suite sound is another one than when it was last run (harness run" in errors
            assert f"harness run {path} brings them up to date" in errors


def test_a_run_says_whose_tables_it_replaces(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    path = suite_file()
    call("run", path)
    assert "another file" not in call("run", path.name, "--set", "attacks.0.steps=2").errors
    copy = workplace / "copy.toml"
    copy.write_text(path.read_text("utf-8").replace("steps = 3", "steps = 1"), "utf-8")
    assert (
        f"suite sound was last run from another file, {path.name}: its tables are replaced" in call("run", copy).errors
    )


def test_a_report_says_how_the_run_was_asked_for(suite_file: SuiteFile, call: Harness, workplace: Path) -> None:
    asked = [suite_file().name, "--limit", "16", "--seed", "3", "--set", "title=A title"]
    call("run", *asked)
    page = (workplace / "reports" / "sound" / "report.md").read_text("utf-8")
    assert page.endswith("## Make it again\n\n    harness run sound.toml --limit 16 --seed 3 --set 'title=A title'\n")
    assert "\nSeeds: 3.\n" in page


def test_a_suite_that_is_found_by_name_is_asked_for_by_it(workplace: Path, suite_file: SuiteFile) -> None:
    (workplace / "suites").mkdir()
    path = suite_file().rename(workplace / "suites" / "sound.toml")
    for given in (path.relative_to(workplace), "sound"):
        assert make_plan(given).cells.command == "harness run suites/sound.toml"
    assert make_plan(path, Options(available=True)).cells.command == f"harness run {path} --available"


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
