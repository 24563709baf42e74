"""`harness check` as a CI job meets it: real models, real attacks, exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.check import VERDICTS, read_baseline
from tests.commandline import Harness, Printed, calling
from tests.processes import TELLING_WHAT_IT_LOADED, in_a_fresh_process

SUITE = """
name = "gate"

[dataset]
id = "digits"
samples = 100

[threat]
norm = "linf"
epsilon = 0.06

[[models]]
name = "net"
id = "python:MODULE:network"
arguments = { noise = 0.0 }

[[attacks]]
name = "pgd"
steps = 2
step_size = "eps/2"

[whitebox]
"""

MODULE = """
import torch
import harness

def network(noise=0.0):
    network = harness.load_model("zoo:digits-vgg6-gn")
    weights = dict(network.named_parameters())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in weights.values():
            weight += noise * weight.std() * torch.randn(weight.shape, generator=generator) if weight.ndim > 1 else 0
    return network
"""


@pytest.fixture
def call(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Harness:
    """`harness VERB gate.toml ...` in this process."""
    command = calling(monkeypatch, capsys)
    return lambda verb, *arguments: command(verb, "gate.toml", *arguments)


@pytest.fixture
def gate(call: Harness, workplace: Path, module: Callable[[str], str]) -> Harness:
    """The suite has run and its baseline is written; further calls check against it."""
    (workplace / "gate.toml").write_text(SUITE.replace("MODULE", module(MODULE)), encoding="utf-8")
    assert call("run").code == 0
    written = call("check", "--baseline", "base.json", "--update")
    assert (written.code, written.output) == (0, "")
    assert written.errors == "base.json written: 2 cells; 0 changed, 2 new, 0 gone.\n"
    return call


def check(gate: Harness, *arguments: object) -> Printed:
    return gate("check", "--baseline", "base.json", *arguments)


def verdicts(gate: Harness) -> dict[str, str]:
    cells = json.loads(check(gate, "--format", "json").output)["cells"]
    return {cell["attack"]: cell["verdict"] for cell in cells}


def test_the_same_records_pass(gate: Harness) -> None:
    printed = check(gate)
    assert (printed.code, printed.errors) == (0, "")
    assert printed.output.splitlines()[-1] == "gate: passed. 2 cells: 2 ok"


def test_a_weakened_model_fails(gate: Harness) -> None:
    gate("run", "--set", "models.0.arguments.noise=0.6")
    printed = check(gate)
    assert printed.code == 3
    assert printed.output.splitlines()[-1].startswith("gate: failed. 2 cells: ")
    assert verdicts(gate) == {"Clean": "regression", "PGD": "regression"}


def test_a_strengthened_attack_is_told_apart_from_a_weakened_model(gate: Harness) -> None:
    gate("run", "--set", "attacks.0.steps=20", "--set", "threat.epsilon=0.1")
    assert check(gate).code == 1  # the label of the threat model has changed, so that no cell fits
    gate("run", "--set", "attacks.0.steps=40", "--set", "attacks.0.step_size=eps/4", "--set", "attacks.0.restarts=3")
    assert check(gate, "--tolerance", "0").code == 0
    cells = json.loads(check(gate, "--format", "json", "--tolerance", "0").output)["cells"]
    (attacked,) = (cell for cell in cells if cell["attack"] == "PGD")
    assert attacked["verdict"] == "stronger attack"
    assert attacked["reason"].startswith("same weights; steps 2 → 40, step_size 0.03 → 0.015, restarts 1 → 3")


def test_both_at_once_cannot_be_told_apart(gate: Harness) -> None:
    gate("run", "--set", "models.0.arguments.noise=0.05", "--set", "attacks.0.steps=3")
    assert (check(gate).code, verdicts(gate)["PGD"]) == (1, "cannot be compared")


def test_other_images_cannot_be_compared(gate: Harness) -> None:
    gate("run", "--limit", "40")
    printed = check(gate)
    assert printed.code == 1
    assert "other images: indices differ (100 before, 40 now, 40 in common)" in printed.output


def test_cells_that_have_not_run_are_missing_and_make_no_baseline(gate: Harness, workplace: Path) -> None:
    before = (workplace / "base.json").read_bytes()
    for folder in (workplace / ".harness" / "records").glob("*/*"):
        if '"pgd"' in (folder / "record.json").read_text():
            (folder / "record.json").unlink()
    assert check(gate).code == 1
    assert verdicts(gate) == {"Clean": "ok", "PGD": "cannot be compared"}
    refused = check(gate, "--update")
    assert refused.code == 1
    assert "base.json was not written: 1 cell without a record; run the suite" in refused.errors
    assert (workplace / "base.json").read_bytes() == before


def test_an_update_accepts_what_is_and_says_what_changed(gate: Harness, workplace: Path) -> None:
    assert check(gate, "--update").errors == "base.json is up to date; nothing changed.\n"
    before = (workplace / "base.json").read_bytes()
    gate("run", "--set", "models.0.arguments.noise=0.6")
    assert check(gate).code == 3
    assert (workplace / "base.json").read_bytes() == before
    updated = check(gate, "--update")
    assert updated.code == 0
    assert "gate: failed." in updated.output
    assert updated.errors == "base.json written: 2 cells; 2 changed, 0 new, 0 gone.\n"
    assert check(gate).code == 0


def test_a_rule_that_is_given_with_an_update_is_kept(gate: Harness, workplace: Path) -> None:
    check(gate, "--update", "--tolerance", "90")
    gate("run", "--set", "models.0.arguments.noise=0.6")
    assert check(gate).code == 0
    assert check(gate, "--tolerance", "5").code == 3
    check(gate, "--update", "--level", "0.01")
    rule = read_baseline(workplace / "base.json", "gate").rule
    assert (rule.level, rule.tolerance) == (0.01, 90.0)


def test_formats_go_where_they_are_told(gate: Harness, workplace: Path) -> None:
    names = ("terminal", "markdown", "junit", "github", "json")
    files = [argument for name in names for argument in ("--format", f"{name}=out/{name}")]
    printed = check(gate, *files, "--format", "github")
    assert printed.output == "::notice title=Robustness gate::gate: passed. 2 cells: 2 ok\n"
    texts = {name: (workplace / "out" / name).read_text(encoding="utf-8") for name in names}
    assert texts["github"] == printed.output
    assert texts["terminal"].endswith("gate: passed. 2 cells: 2 ok\n")
    assert texts["markdown"].startswith("✅ **gate: passed. 2 cells: 2 ok**\n")
    assert ElementTree.fromstring(texts["junit"]).get("tests") == "2"
    assert len(json.loads(texts["json"])["cells"]) == 2


WRONG = {
    "": "Missing option '--baseline'",
    "--baseline none.json": "there is no baseline none.json",
    "--baseline gate.toml": "the baseline gate.toml is damaged",
    "--baseline gate.toml --update": "the baseline gate.toml is damaged",
    "--baseline gate.toml/base.json --update": "harness: the baseline gate.toml/base.json cannot be written",
    "--baseline base.json --format jnuit": 'check format "jnuit" is not registered',
    "--baseline base.json --format junit=": "write junit, or junit=FILE",
    "--baseline base.json --format junit=gate.toml/x": "gate.toml/x cannot be written",
    "--baseline base.json --tolerance -1": "-1.0 is not in the range",
    "--baseline base.json --level 1": "1.0 is not in the range",
    "--baseline base.json --tolerance nan": "--tolerance: input should be less than or equal to 100 (given: nan)",
    "--baseline base.json --level nan": "--level: input should be less than 1 (given: nan)",
    "--baseline base.json --update --tolerance nan": "--tolerance: input should be less than or equal to 100",
    "--baseline base.json --set name=other": "base.json is the baseline of suite gate, not of other",
    "--baseline none.json --update --set name=other": "suite other was never run",
    "--baseline base.json --store empty": "suite gate was never run with the store empty",
}
"""Arguments, and what is said about them."""


def test_wrong_usage_has_exit_code_2_and_is_told_in_words(gate: Harness) -> None:
    for arguments, message in WRONG.items():
        printed = gate("check", *arguments.split())
        assert (printed.code, message in printed.errors) == (2, True), (arguments, printed)


def test_a_gate_needs_no_torch(gate: Harness) -> None:
    formats = ["--format", "markdown", "--format", "junit", "--format", "github"]
    done = in_a_fresh_process(TELLING_WHAT_IT_LOADED, "check", "gate.toml", "--baseline", "base.json", *formats)
    assert (done.returncode, done.stderr) == (0, "[]\n")


ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_baseline_is_that_of_the_quickstart_and_ci_checks_against_it() -> None:
    found = read_baseline(ROOT / "baselines" / "quickstart.json", "quickstart")
    assert len(found.cells) == 108
    assert all(images.n == 300 for images in found.images.values())
    assert "harness check quickstart --baseline baselines/quickstart.json" in (ROOT / ".ci" / "run").read_text()


def test_what_the_page_on_ci_must_name_is_there(gate: Harness) -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    options = set(re.findall(r"--[a-z]+", gate("check", "--help").output)) - {"--help"}
    formats = re.findall(r"terminal|markdown|junit|github|json", gate("check", "--help").output)
    assert [
        word for word in (*VERDICTS, *options, *formats) if f"`{word}" not in page and f"**{word}**" not in page
    ] == []
