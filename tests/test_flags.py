"""From a broken defence to a sentence below the table: flags in records, frames, reports, and from the store again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from harness.attacks import ATTACKS
from harness.attacks.cascade import Cascade
from harness.attacks.resolve import resolve, sweep
from harness.cli import cli
from harness.core.threat import ThreatModel
from harness.metrics.flags import FLAGS
from harness.models.examination import EXAMINED_IMAGES
from harness.runner import Results
from tests.defences import MODEL_FLAGS

SuiteFile = Callable[..., Path]

PLAIN, BATCH = '"zoo:digits-vgg6-none"', '"zoo:digits-vgg6-bn"'
ROOT = Path(__file__).resolve().parents[1]


def defended(name: str) -> str:
    return f'"python:tests.defences:{name}"'


def command(*arguments: str) -> str:
    """What a command of `harness` prints, which must be one that succeeds."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def flags_by_cell(results: Results) -> dict[tuple[str, str], dict[str, int]]:
    frame = results.frame()
    return dict(zip(zip(frame["mode"], frame["target"], strict=True), frame["flags"], strict=True))


def test_flags_of_a_model_are_in_its_clean_record_and_those_of_an_attack_in_the_attacks(suite_file: SuiteFile) -> None:
    results = harness.run(suite_file((PLAIN, defended("Rounded"))))
    flags = flags_by_cell(results)
    attacked = len(results.outcomes(results.plan.cells.cells[2].id).query("passes > 0"))
    assert attacked > 10
    assert flags == {
        ("clean", "plain"): {"hidden_gradient": 20},
        ("clean", "batch"): {},
        ("whitebox", "plain"): {"zero_gradient": attacked},
        ("whitebox", "batch"): {},
    }
    assert [results.store.read(cell.id).examined for cell in results.plan.cells.cells] == [20, 20, 0, 0]


def test_a_report_says_what_the_flags_mean_and_says_it_again_from_the_store(
    suite_file: SuiteFile, workplace: Path
) -> None:
    path = suite_file((PLAIN, defended("Softmax")), (BATCH, defended("SometimesNotANumber")))
    printed = command("run", str(path), "--json")
    page = (workplace / "reports" / "sound" / "report.md").read_text(encoding="utf-8")
    assert (
        "- probability_outputs: the model returns probabilities, not logits (plain: 20 of 20 images examined); "
        "attacks on its loss are weakened: return what goes into the softmax.\n"
    ) in page
    assert re.search(r"- nonfinite_logits: .* \(batch: up to \d+ of 20 images in 2 cells\); ", page)
    (table,) = json.loads(printed)["tables"]
    assert {(flag["flag"], flag["model"]) for flag in table["flags"]} >= {
        ("probability_outputs", "plain"),
        ("nonfinite_logits", "batch"),
    }
    assert command("report", str(path), "--json") == printed
    assert (workplace / "reports" / "sound" / "report.md").read_text(encoding="utf-8") == page
    assert harness.run(path).outcome.computed == 0
    assert command("run", str(path), "--json") == printed


def test_a_sound_suite_raises_no_flag(suite_file: SuiteFile) -> None:
    results = harness.run(suite_file())
    assert all(flags == {} for flags in flags_by_cell(results).values())
    assert not any(table.flags for table in results.report().tables)


def test_a_model_that_numbers_its_classes_otherwise_is_near_chance_in_every_table(
    suite_file: SuiteFile, workplace: Path
) -> None:
    (workplace / "numbered_otherwise.py").write_text(
        "import harness\nfrom torch import nn\n"
        "class Rolled(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.inner = harness.load_model('zoo:digits-vgg6-bn')\n"
        "    def forward(self, images):\n"
        "        return self.inner(images).roll(1, 1)\n"
        "def net():\n"
        "    return Rolled().eval()\n",
        encoding="utf-8",
    )
    path = suite_file((BATCH, '"python:numbered_otherwise:net"'), ("[whitebox]", "[transfer]\nsurrogates = ['plain']"))
    results = harness.run(path, overrides=["dataset.samples=100"])
    flags = flags_by_cell(results)
    assert flags["clean", "batch"]["near_chance"] >= 98
    assert flags["clean", "plain"] == {}
    (note,) = [one for one in results.report().tables[0].notes if one.startswith("near_chance")]
    assert re.search(r"hardly better than guessing \(batch: \d+ of 100 images wrong\); labels are numbered", note)


def test_flags_do_not_depend_on_the_batch_size_nor_on_how_many_images_a_suite_has(
    suite_file: SuiteFile, workplace: Path
) -> None:
    path = suite_file((PLAIN, defended("PartlyRounded")), (BATCH, defended("Noisy")), ("samples = 20", "samples = 70"))
    small, large = (
        harness.run(path, overrides=[f"batch_size={size}"], store=workplace / str(size)) for size in (7, 128)
    )
    assert flags_by_cell(small)["clean", "plain"] == flags_by_cell(large)["clean", "plain"]
    assert flags_by_cell(small)["clean", "batch"] == flags_by_cell(large)["clean", "batch"]
    assert flags_by_cell(large)["clean", "batch"] == {"nondeterministic": EXAMINED_IMAGES}


def test_a_model_that_hides_behind_its_gradient_is_caught_when_square_alone_fools_it(
    suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def member(name: str, **given: object) -> harness.attacks.Attack:
        (arguments,) = sweep(name, None, given)
        return resolve(name, arguments, ThreatModel("linf", 0.2), given).attack

    cascade = Cascade({"pgd": member("pgd", steps=5), "square": member("torchattacks:Square", n_queries=150)})
    monkeypatch.setitem(ATTACKS._entries, "cascade", lambda: cascade)
    changes = ((PLAIN, defended("Decoy")), ('name = "pgd"\nsteps = 3', 'name = "cascade"'), ('"8/255"', "0.2"))
    results = harness.run(suite_file(*changes))
    flags = flags_by_cell(results)
    assert flags["clean", "plain"] == {}
    assert set(flags["whitebox", "plain"]) == {"square_below_gradients"}
    assert flags["whitebox", "plain"]["square_below_gradients"] > 5
    (note,) = [note for note in results.report().tables[0].notes if note.startswith("square_below_gradients")]
    assert "plain: " in note


def test_every_flag_is_documented_and_shown_by_a_defence() -> None:
    text = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    assert [flag for flag in FLAGS if f"| `{flag}` |" not in text] == []
    of_models = {name for name, flag in FLAGS.items() if flag.shown_by == "model"}
    assert set().union(*MODEL_FLAGS.values()) == of_models
