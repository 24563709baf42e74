"""A run computes what is missing and nothing else, and its numbers depend on the questions alone."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import nn

import harness
from harness.attacks import ATTACKS, Crafted, Model, Samples, Setting
from harness.core.threat import Norm, ThreatModel
from harness.executors.local import LocalExecutor
from harness.executors.outcome import todo
from harness.plan import Options, make_plan
from harness.runner import Results
from harness.store import Store

SuiteFile = Callable[..., Path]
Module = Callable[[str], str]

TRANSFER = ("[whitebox]", "[transfer]")

LINEAR = """
import torch
from torch import nn

class Linear(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        self.layer = nn.Linear(64, 10)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(10, 64, generator=torch.Generator().manual_seed(seed)))

    def forward(self, images):
        return self.layer(images.flatten(1))
"""
"""A model that is quick to attack."""


def run(path: Path, **options: Any) -> Results:
    return harness.run(path, **options)


def assert_same_outcomes(one: Results, other: Results) -> None:
    """Cell by cell and sample by sample, the clean cells included."""
    pairs = list(zip(one.plan.cells.cells, other.plan.cells.cells, strict=True))
    assert pairs
    for mine, theirs in pairs:
        assert mine.id == theirs.id
        assert_frame_equal(one.outcomes(mine.id), other.outcomes(theirs.id))


# --- what is computed -------------------------------------------------------------------------------------------


def test_a_second_run_computes_nothing(suite_file: SuiteFile) -> None:
    first = run(suite_file())
    assert (first.outcome.computed, first.outcome.stored, first.outcome.exit_code) == (4, 0, 0)
    second = run(suite_file())
    assert (second.outcome.computed, second.outcome.stored) == (0, 4)
    assert_same_outcomes(first, second)


def test_a_further_model_computes_its_own_cells_only(suite_file: SuiteFile) -> None:
    run(suite_file(TRANSFER))
    added = ("[[attacks]]", '[[models]]\nname = "group"\nid = "zoo:digits-vgg6-gn"\n[[attacks]]')
    outcome = run(suite_file(TRANSFER, added)).outcome
    # Clean predictions of the third model, and 3 x 3 pairs less the 2 x 2 known ones.
    assert (outcome.computed, outcome.stored) == (1 + 9 - 4, 2 + 4)


def test_two_suites_share_the_cells_that_ask_the_same(suite_file: SuiteFile) -> None:
    run(suite_file())
    other = ("steps = 3", 'steps = 3\nlabel = "the same"\n[[attacks]]\nname = "fgsm"')
    outcome = run(suite_file(other, ('name = "plain"', 'name = "called otherwise"'), name="other")).outcome
    assert (outcome.computed, outcome.stored) == (2, 4)


def test_two_names_of_one_model_are_computed_once(suite_file: SuiteFile) -> None:
    twins = run(suite_file(("digits-vgg6-bn", "digits-vgg6-none"), TRANSFER))
    assert len(twins.plan.cells.cells) == 2 + 4
    assert twins.outcome.computed == 2
    assert len(twins.frame()) == 6


def test_fewer_images_are_other_cells(suite_file: SuiteFile) -> None:
    run(suite_file())
    assert run(suite_file(), limit=10).outcome.computed == 4
    assert run(suite_file(), limit=20).outcome.computed == 0


def test_another_seed_repeats_the_attacks_but_not_the_clean_predictions(suite_file: SuiteFile) -> None:
    run(suite_file())
    assert run(suite_file(), seed=1).outcome.computed == 2


def test_a_plan_writes_nothing_and_a_run_leaves_only_its_store_and_no_unfinished_cell(
    suite_file: SuiteFile, workplace: Path
) -> None:
    make_plan(suite_file())
    assert [path.name for path in workplace.iterdir()] == ["sound.toml"]
    run(suite_file())
    assert sorted(path.name for path in workplace.iterdir()) == [".harness", "sound.toml"]
    assert not list((workplace / ".harness" / "partial").iterdir())


# --- what the numbers are ---------------------------------------------------------------------------------------


def test_outcomes_are_what_the_model_says_about_the_images(suite_file: SuiteFile) -> None:
    results = run(suite_file())
    clean = results.plan.cells.cells[0]
    dataset = results.plan.datasets["digits (test)"].at(None)
    model = harness.load_model("zoo:digits-vgg6-none")
    with torch.no_grad():
        predictions = model(torch.from_numpy(dataset.images).float() / 255 if dataset.images.dtype == "uint8"
                            else torch.from_numpy(dataset.images)).argmax(1)  # fmt: skip
    outcomes = results.outcomes(clean.id)
    assert outcomes["index"].tolist() == dataset.indices.tolist()
    assert outcomes["label"].tolist() == dataset.labels.tolist()
    assert outcomes["clean_prediction"].tolist() == predictions.tolist()
    record = results.store.read(clean.id)
    assert record.n == 20
    assert record.values["clean_accuracy"] == (predictions.numpy() == dataset.labels).mean()


def test_a_whitebox_attack_can_only_take_accuracy_away_and_keeps_to_its_budget(suite_file: SuiteFile) -> None:
    results = run(suite_file())
    for cell in results.plan.cells.cells[2:]:
        outcomes = results.outcomes(cell.id)
        assert (outcomes["success"] == (outcomes["adversarial_prediction"] != outcomes["label"])).all()
        assert outcomes["success"][outcomes["clean_prediction"] != outcomes["label"]].all()
        assert outcomes["linf"].max() <= 8 / 255 * (1 + 1e-6)
        assert (outcomes["passes"] <= 3).all()
        record = results.store.read(cell.id)
        assert record.values["robust_accuracy"] == pytest.approx(1 - outcomes["success"].mean())


def test_a_constant_model_keeps_the_accuracy_of_its_class_and_shows_its_zero_gradients(
    suite_file: SuiteFile, module: Module
) -> None:
    name = module(
        "import torch\n"
        "from torch import nn\n"
        "class Constant(nn.Module):\n"
        "    def forward(self, images):\n"
        "        return 0 * images.sum((1, 2, 3))[:, None] + torch.eye(10)[3]\n"
    )
    results = run(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Constant"'), more='models = "plain"\n'))
    record = results.store.read(results.plan.cells.cells[-1].id)
    # Two of twenty balanced digits are a three; the other eighteen need no attack.
    assert record.values["clean_accuracy"] == record.values["robust_accuracy"] == 0.1
    assert record.flags == {"zero_gradient": 2}


def test_logits_that_are_not_finite_are_counted_and_are_no_correct_answers(
    suite_file: SuiteFile, module: Module
) -> None:
    name = module(
        "from torch import nn\n"
        "class Infinite(nn.Module):\n"
        "    def forward(self, images):\n"
        "        return images.flatten(1)[:, :10] / 0\n"
    )
    results = run(suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Infinite"'), more='models = "plain"\n'))
    record = results.store.read(results.plan.cells.cells[0].id)
    assert record.flags == {"nonfinite_logits": 20, "near_chance": 20}
    assert record.values["clean_accuracy"] == 0


@pytest.mark.parametrize("section", ["[whitebox]", "[transfer]"])
def test_outcomes_do_not_depend_on_the_batch_size(section: str, suite_file: SuiteFile, workplace: Path) -> None:
    family = ("steps = 3", 'steps = 3\n[[attacks]]\nname = "mi-ti-fgsm"\nsteps = 3\nkernel_size = 3')
    small = run(suite_file(("[whitebox]", section), family), overrides=["batch_size=7"], store=workplace / "small")
    large = run(suite_file(("[whitebox]", section), family), overrides=["batch_size=128"], store=workplace / "large")
    assert small.outcome.computed == large.outcome.computed > 0
    assert_same_outcomes(small, large)


def test_outcomes_do_not_depend_on_the_order_of_jobs_nor_on_other_cells(suite_file: SuiteFile, workplace: Path) -> None:
    plan = make_plan(suite_file(TRANSFER, ("steps = 3", 'steps = 3\n[[attacks]]\nname = "mi-fgsm"\nsteps = 2')))
    whole = run(Path(plan.path), store=workplace / "whole")
    for override in (['transfer.attacks="mi-fgsm"', 'transfer.targets="batch"'], ['transfer.surrogates="batch"'], []):
        pieces = run(Path(plan.path), store=workplace / "pieces", overrides=override)
    assert pieces.outcome.stored > 0
    assert pieces.outcome.computed > 0
    assert_same_outcomes(whole, pieces)


def test_a_target_that_is_the_surrogate_is_judged_on_all_steps(suite_file: SuiteFile) -> None:
    results = run(suite_file(TRANSFER, more='surrogates = "plain"\ntargets = "plain"\n'))
    (cell,) = [cell for cell in results.plan.cells.cells if cell.mode == "transfer"]
    assert cell.surrogate == cell.target == "plain"
    assert (results.outcomes(cell.id)["passes"] == 3).all()


def test_the_frame_has_a_row_per_finished_cell_with_its_names_and_numbers(suite_file: SuiteFile) -> None:
    results = run(suite_file())
    frame = results.frame()
    assert list(frame["target"]) == ["plain", "batch", "plain", "batch"]
    assert list(frame["mode"]) == ["clean", "clean", "whitebox", "whitebox"]
    assert (frame["n"] == 20).all()
    for _, row in frame.iterrows():
        assert row["robust_accuracy"] == results.store.read(row["id"]).values["robust_accuracy"]


def test_results_say_in_one_line_whose_they_are_and_refuse_an_unknown_cell(suite_file: SuiteFile) -> None:
    results = run(suite_file())
    assert repr(results) == "Results('sound', 4 computed, 0 stored, 0 failed, store='.harness')"
    (images,) = results.plan.datasets.values()
    assert repr(images.at(None)) == "Dataset('digits (test)', (20, 1, 8, 8) float32, 10 classes)"
    with pytest.raises(harness.HarnessError) as raised:
        results.outcomes("abc")
    assert str(raised.value) == 'no record "abc" in .harness; ids are in results.frame()["id"]'


def test_running_twice_in_one_process_is_the_same_function(suite_file: SuiteFile) -> None:
    import harness.runner

    assert harness.run is harness.runner.run
    assert harness.run(suite_file()).outcome.computed + harness.run(str(suite_file())).outcome.computed == 4


# --- records ----------------------------------------------------------------------------------------------------


def test_a_record_can_be_traced_to_weights_images_arguments_code_and_machine(suite_file: SuiteFile) -> None:
    results = run(suite_file(("steps = 3", 'steps = 3\nstep_size = "eps/2"')))
    cell = results.plan.cells.cells[-1]
    record = results.store.read(cell.id)
    assert record.id == record.question.id == cell.id
    assert record.question.target == record.target.fingerprint == harness.load_model("zoo:digits-vgg6-bn").fingerprint
    assert record.target.details["weights_file"] == "digits-vgg6-bn.safetensors"
    assert record.target.norm == "bn"
    assert record.question.dataset == results.plan.datasets["digits (test)"].at(None).fingerprint
    assert record.passed == {"steps": 3, "step_size": "eps/2"}
    assert record.question.arguments["steps"] == 3
    assert record.question.arguments["step_size"] == pytest.approx(4 / 255)
    assert record.question.arguments["restarts"] == 1
    assert record.question.attack_version
    assert record.environment["packages"]["torch"] == torch.__version__
    assert record.environment["harness"] == harness.__version__
    assert record.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert len(record.environment["commit"]) == 40
    assert isinstance(record.environment["dirty"], bool)
    assert {"platform", "device", "threads"} <= set(record.environment)
    assert record.wall_seconds > 0


# --- failures ---------------------------------------------------------------------------------------------------

FAILS_IN_THE_ATTACK = (
    LINEAR
    + """
class Fragile(Linear):
    broken = True

    def forward(self, images):
        if images.requires_grad and Fragile.broken:
            raise ZeroDivisionError("no gradients here\\nat all")
        return super().forward(images)

class Small(Linear):
    def forward(self, images):
        if len(images) > 4:
            raise RuntimeError("too many images")
        return super().forward(images)
"""
)


def test_a_model_that_fails_in_the_attack_costs_its_own_cells_and_is_tried_again(
    suite_file: SuiteFile, module: Module
) -> None:
    name = module(FAILS_IN_THE_ATTACK)
    path = suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Fragile"'))
    results = run(path)
    failed = results.plan.cells.cells[2]
    assert (failed.mode, failed.target) == ("whitebox", "plain")
    assert set(results.outcome.failures) == {failed.id}
    assert (results.outcome.computed, results.outcome.exit_code) == (3, 1)
    reason = results.store.failure(failed.id)
    assert reason is not None
    assert reason.startswith("ZeroDivisionError: no gradients here\nat all\n\nTraceback")
    assert reason.endswith("ZeroDivisionError: no gradients here\nat all")
    assert failed.id not in results.store
    assert len(results.frame()) == 3
    (table,) = results.report().tables
    assert "–" in results.report().page()
    assert "– 1 of 4 cells failed: ZeroDivisionError: no gradients here." in table.notes

    sys.modules[name].Fragile.broken = False
    again = run(path)
    assert (again.outcome.computed, again.outcome.stored, again.outcome.exit_code) == (1, 3, 0)
    assert again.store.failure(failed.id) is None


def test_a_model_without_clean_predictions_fails_as_a_target_and_spares_the_other_targets(
    suite_file: SuiteFile, module: Module
) -> None:
    name = module(FAILS_IN_THE_ATTACK)
    results = run(
        suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:Small"'), TRANSFER, more='surrogates = "batch"\n')
    )
    failed = {(cell.mode, cell.target) for cell in results.plan.cells.cells if cell.id in results.outcome.failures}
    assert failed == {("clean", "plain"), ("transfer", "plain")}
    assert results.outcome.computed == 2
    reason = results.store.failure(results.plan.cells.cells[2].id)
    assert reason == '"plain" has no clean predictions: RuntimeError: too many images'


class Cheat:
    """An attack that goes further than it may, from its second batch on."""

    norms: frozenset[Norm] = frozenset({"linf"})
    version = "1.0"
    batch_dependent = False
    members = ()

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        for number, rows in enumerate(torch.split(torch.arange(len(samples)), setting.batch_size)):
            images = samples.pixels(rows)
            adversarial = (images + number * 2 * setting.threat.epsilon).clamp(0, 1)
            yield Crafted(rows, adversarial, torch.ones_like(rows), torch.zeros_like(rows, dtype=torch.bool))

    def cost(self, setting: Setting) -> int:
        return 1

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        return {}


def test_an_attack_that_leaves_its_threat_model_has_no_record_and_its_own_exit_code(
    suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "pgd" in ATTACKS
    monkeypatch.setitem(ATTACKS._entries, "cheat", lambda: Cheat())
    results = run(suite_file(("[[attacks]]", '[[attacks]]\nname = "cheat"\n[[attacks]]')), overrides=["batch_size=4"])
    cheats = {cell.id for cell in results.plan.cells.cells if cell.attack == "Cheat"}
    assert set(results.outcome.failures) == cheats
    assert (results.outcome.computed, results.outcome.violations, results.outcome.exit_code) == (4, 2, 4)
    for id in cheats:
        assert id not in results.store
        assert results.store.partial(id) is None
        assert "left its threat model L∞ 8/255: worst distance 0.0627" in results.outcome.failures[id]


def test_cells_that_another_process_finishes_meanwhile_are_not_computed_again(suite_file: SuiteFile) -> None:
    path = suite_file()
    plan, store = make_plan(path), Store()
    store.open()

    def run_elsewhere(job: str) -> None:
        run(path)

    outcome = LocalExecutor(plan, store, torch.device("cpu"), describe=run_elsewhere).run()
    assert (outcome.computed, outcome.stored, outcome.failures) == (0, 4, {})


def test_what_goes_wrong_with_a_cell_that_another_process_has_finished_is_no_failure(
    suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, append = suite_file(), Store.append

    def finished_meanwhile(store: Store, id: str, outcomes: object) -> None:
        monkeypatch.setattr(Store, "append", append)
        run(path)
        raise OSError("its folder is gone")

    monkeypatch.setattr(Store, "append", finished_meanwhile)
    results = run(path)
    assert (results.outcome.failures, results.outcome.exit_code) == ({}, 0)
    assert len(results.frame()) == 4
    assert not list(results.store.path.glob("failures/*"))


def test_cells_that_cannot_be_written_are_failures_with_their_reason_and_the_others_are_tried(
    suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, text: str, encoding: str) -> int:
        # What is told about the run fits; records and reasons do not.
        if self.parent.name == "suites":
            return self.write_bytes(text.encode(encoding))
        raise OSError(errno.ENOSPC, "full")

    path = suite_file()
    monkeypatch.setattr(Path, "write_text", full)
    results = run(path)
    reasons = [results.outcome.failures[cell.id] for cell in results.plan.cells.cells]
    assert len(reasons) == 4
    assert all("No space left on device.\n     free space, or" in reason for reason in reasons[:2])
    assert all(" has no clean predictions: the store .harness cannot be written: No space" in r for r in reasons[2:])
    assert results.outcome.exit_code == 1


def test_an_interrupt_is_no_failure_and_stops_the_run(suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Cheat):
        def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
            raise KeyboardInterrupt

    monkeypatch.setitem(ATTACKS._entries, "interrupted", lambda: Interrupted())
    path = suite_file(("[[attacks]]", '[[attacks]]\nname = "interrupted"\n[[attacks]]'))
    with pytest.raises(KeyboardInterrupt):
        run(path)
    store, plan = Store(), make_plan(path)
    assert [cell.id in store for cell in plan.cells.cells] == [True, True, False, False, False, False]
    assert all(store.failure(cell.id) is None for cell in plan.cells.cells)


def test_a_damaged_record_is_not_printed_as_a_number(suite_file: SuiteFile) -> None:
    results = run(suite_file())
    id = results.plan.cells.cells[-1].id
    (results.store.path / "records" / id[:2] / id / "record.json").write_text("{")
    with pytest.raises(harness.HarnessError, match="delete the folder"):
        run(suite_file()).report()


def test_the_work_that_is_left_names_every_cell_once(suite_file: SuiteFile) -> None:
    plan = make_plan(suite_file(("digits-vgg6-bn", "digits-vgg6-none"), TRANSFER), Options(limit=3))
    left = [job.cells[i].id for job, positions in todo(plan, Store()) for i in positions]
    assert len(left) == len(set(left)) == len(plan.cells.ids())


# --- the model itself -------------------------------------------------------------------------------------------

KEPT = """
import torch
from torch import nn

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10)
)
network.train()
network[3].eval()
network[0].weight.requires_grad_(False)
network(torch.rand(8, 1, 8, 8)).sum().backward()

def kept():
    return network
"""


def test_a_run_leaves_a_network_that_its_module_keeps_as_it_was(suite_file: SuiteFile, module: Module) -> None:
    name = module(KEPT)
    path = suite_file(('"zoo:digits-vgg6-none"', f'"python:{name}:kept"'), TRANSFER)
    make_plan(path)
    network: nn.Sequential = sys.modules[name].network
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    random_state = torch.get_rng_state()
    assert run(path).outcome.exit_code == 0
    assert [part.training for part in network.modules()] == [True, True, True, True, False, True, True]
    assert [p.requires_grad for p in network.parameters()] == [False, True, True, True, True, True]
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())
    assert gradients[0] is None
    for gradient, parameter in zip(gradients[1:], list(network.parameters())[1:], strict=True):
        assert gradient is not None
        assert parameter.grad is not None
        assert torch.equal(gradient, parameter.grad)
    assert torch.equal(random_state, torch.get_rng_state())


# --- devices ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["banana", "cuda:x", "meta", "cuda:99"])
def test_a_device_that_is_not_here_is_an_error_before_the_suite_is_read(device: str) -> None:
    with pytest.raises(harness.HarnessError, match=f"--device {device}: "):
        harness.run("there is no such suite", device=device)
