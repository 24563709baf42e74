"""Suites of which some weights are not here: everything else runs, and what does not is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.core.errors import HarnessError, Problems
from harness.models.card import zoo_cards
from harness.plan import Options, Plan, make_plan
from harness.store import Store
from tests.commandline import Harness, calling

SuiteFile = Callable[..., Path]

ABSENT = '\n[[models]]\nname = "absent"\nid = "zoo:absent"\nfacts = { bn = "Y" }\n'

TRANSFER = """
[transfer]
surrogates = ["plain", "absent"]
targets = ["plain", "batch", "absent"]

[[tables]]
name = "transfer"
rows = ["surrogate"]
columns = ["target", "mean"]
mode = "transfer"

[[claims]]
name = "norms"
text = "BatchNorm is the weaker one"
value = "robust_accuracy"
greater = { surrogate = "plain" }
than = { surrogate = "absent" }
"""


@pytest.fixture
def partly(workplace: Path, suite_file: SuiteFile) -> Path:
    """The sound suite, and a model whose network is known and whose weights are not there."""
    card = zoo_cards()["digits-vgg6-gn"].read_text(encoding="utf-8").partition("# Written by")[0]
    (workplace / "model_zoo").mkdir()
    (workplace / "model_zoo" / "absent.toml").write_text(card, encoding="utf-8")
    return suite_file(more=ABSENT + TRANSFER)


def planned(path: Path) -> Plan:
    return make_plan(path, Options(available=True))


def test_missing_weights_are_a_mistake_that_tells_how_to_run_the_rest(partly: Path) -> None:
    with pytest.raises(Problems, match="zoo:absent has no weights yet") as caught:
        make_plan(partly)
    assert str(caught.value).endswith("add --available.")


def test_other_mistakes_do_not_tell(suite_file: SuiteFile) -> None:
    with pytest.raises(Problems) as caught:
        make_plan(suite_file(("zoo:digits-vgg6-bn", "zoo:nothing")))
    assert "--available" not in str(caught.value)


def test_a_model_left_out_keeps_its_cells_and_has_no_jobs(partly: Path) -> None:
    plan = planned(partly)
    absent = [cell for cell in plan.cells.cells if "absent" in (cell.surrogate, cell.target)]
    assert {cell.mode for cell in absent} == {"clean", "whitebox", "transfer"}
    assert {cell.id for cell in absent} == plan.cells.left_out()
    done = {cell.id for job in plan.jobs for cell in job.cells}
    assert done == plan.cells.ids() - plan.cells.left_out()
    for job in plan.jobs:
        assert len(job.cells) == len(job.questions) == len(job.carried)
        assert [cell.id for cell in job.cells] == [question.id for question in job.questions]
        assert len(job.clean) == (0 if job.craft is None else len(job.cells))


def test_it_is_described_as_its_network_is_known(partly: Path) -> None:
    entry = planned(partly).cells.model("absent")
    description = entry.description
    assert (entry.left_out, description.id, description.norm) == (True, "zoo:absent", "gn")
    assert not description.random_weights


def test_no_record_of_the_untrained_network_answers_for_it(partly: Path, suite_file: SuiteFile) -> None:
    untrained = suite_file(("zoo:digits-vgg6-bn", "zoo:absent@none"), name="untrained")
    ids = {cell.id for cell in make_plan(untrained).cells.cells if cell.target == "batch"}
    assert not ids & planned(partly).cells.left_out()


def test_the_rest_has_the_numbers_that_it_has_in_a_suite_of_its_own(
    partly: Path, suite_file: SuiteFile, tmp_path: Path
) -> None:
    rest = harness.run(partly, available=True).frame()
    whole = suite_file(more=TRANSFER.replace(', "absent"', "").partition("[[tables]]")[0], name="whole")
    alone = harness.run(whole, store=tmp_path / "another").frame()
    columns = ["id", "robust_accuracy", "clean_accuracy"]
    pd.testing.assert_frame_equal(
        rest[columns].sort_values("id", ignore_index=True), alone[columns].sort_values("id", ignore_index=True)
    )


def test_tables_claims_and_exit_code_say_what_is_missing(
    partly: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call: Harness = calling(monkeypatch, capsys)
    printed = call("run", partly, "--available")
    assert printed.code == 1
    assert "6 cells left out, whose models have no weights here: absent" in printed.errors
    results = harness.run(partly, available=True)
    (table,) = results.report().tables
    assert "– 4 of 6 cells not run: no weights of zoo:absent." in table.notes
    (claim,) = results.report().claims
    assert claim.verdict == "not run"
    again = call("run", partly, "--available")
    assert "0 cells computed" in again.errors
    assert "6 left out" in call("plan", partly, "--available").output
    assert call("report", partly).code == 1


def test_images_that_every_model_gets_right_are_those_of_the_models_that_are_here(partly: Path) -> None:
    partly.write_text(partly.read_text().replace("samples = 20", 'samples = 20\nkeep = "all-correct"'))
    (table,) = harness.run(partly, available=True).report().tables
    assert next(iter(table.entries)).estimate
    assert any("those left out aside" in note for note in table.notes)


def test_a_network_that_is_not_known_without_its_weights_cannot_be_left_out(
    suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = suite_file(("zoo:digits-vgg6-bn", "hf-hub:nobody/nothing"))
    with pytest.raises(HarnessError, match="nobody/nothing"):
        planned(path)


def test_a_store_that_has_seen_it_left_out_knows_it_once_it_is_trained(partly: Path, workplace: Path) -> None:
    harness.run(partly, available=True)
    trained = zoo_cards()["digits-vgg6-gn"]
    for suffix in (".toml", ".safetensors"):
        (workplace / "model_zoo" / f"absent{suffix}").write_bytes(trained.with_suffix(suffix).read_bytes())
    results = harness.run(partly)
    assert not results.plan.cells.missing(Store(None))
    assert results.outcome.computed == 6
