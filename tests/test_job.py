"""The attack proposes, the harness judges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import harness.surrogate
from harness.attacks import Attack, Crafted, Model, Samples, Setting, as_float
from harness.attacks.cascade import Cascade
from harness.attacks.resolve import ResolvedAttack, resolve, sweep
from harness.core.errors import HarnessError, ThreatModelViolation
from harness.core.precision import PassPrecision, Precision
from harness.core.threat import Goal, Norm, ThreatModel
from harness.data import Dataset
from harness.job import CraftJob
from harness.judging import Arena, predict, run_clean, wanted_classes
from harness.models.classifier import Classifier, Provenance
from harness.models.prepare import Prepared, prepare
from harness.surrogate import Surrogate

CLASSES = 4
COUNT = 24
LINF, L2 = ThreatModel("linf", 0.05), ThreatModel("l2", 0.3)
NOTHING = np.zeros(COUNT, dtype=bool)


def model(seed: int = 0) -> Classifier:
    """A small smooth network for images (N, 1, 8, 8)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, CLASSES))
    with torch.no_grad():
        layers[4].weight.mul_(3)  # type: ignore[operator]
    return Classifier(layers, Provenance(f"test {seed}"))


def arena(batch_size: int = 5, wrong: int = 0, dtype: Any = np.float32, of: Classifier | None = None) -> Arena:
    """Images that `of` gets right but for the first `wrong` of them; data set indices are 1000, 997, ..."""
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 8, 8), dtype=np.uint8)
    images = pixels if dtype == np.uint8 else (pixels / np.float32(255)).astype(np.float32)
    labels = predict(of or model(), as_float(torch.from_numpy(images))).numpy()
    labels[:wrong] = (labels[:wrong] + 1) % CLASSES
    indices = 1000 - 3 * np.arange(COUNT)
    dataset = Dataset("toy", images, labels, indices, tuple("abcd"), "fingerprint")
    return Arena(dataset, torch.device("cpu"), batch_size)


def attack(name: str, threat: ThreatModel, **given: Any) -> ResolvedAttack:
    (arguments,) = sweep(name, None, given)
    return resolve(name, arguments, threat, given)


def clean(target: Classifier, arena: Arena) -> npt.NDArray[np.int64]:
    return run_clean(target, arena)["clean_prediction"].to_numpy()


def run(
    job: CraftJob, surrogate: Classifier, arena: Arena, finished: npt.NDArray[np.bool_] = NOTHING, **targets: Classifier
) -> dict[str, pd.DataFrame]:
    """All outcomes by target, ordered by data set index."""
    judged = targets or {"cell": surrogate}
    predictions = {id: clean(target, arena) for id, target in judged.items()}
    batches = list(job.run(Surrogate(surrogate), judged, predictions, arena, finished))
    return {id: pd.concat([b[id] for b in batches]).sort_values("index", ignore_index=True) for id in judged}


def whitebox(name: str = "pgd", threat: ThreatModel = LINF, seed: int = 0, **given: Any) -> CraftJob:
    return CraftJob(attack(name, threat, **given), threat, seed, CLASSES, whitebox=True)


def transfer(name: str = "pgd", threat: ThreatModel = LINF, seed: int = 0, **given: Any) -> CraftJob:
    return CraftJob(attack(name, threat, **given), threat, seed, CLASSES, whitebox=False)


# --- the threat model is checked -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposing:
    """An attack that returns whatever it is told to: `change` is added to the images, or replaces them if absolute."""

    change: Tensor
    absolute: bool = False
    norms: frozenset[Norm] = frozenset({"linf", "l2"})
    version: str = "1"
    batch_dependent: bool = False
    members: tuple[str, ...] = ()
    seen: list[list[int]] = field(default_factory=list)
    """Data set indices of the samples that it was given, one list per call."""

    def cost(self, setting: Setting) -> int:
        return 1

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        return {}

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        self.seen.append(samples.indices.tolist())
        rows = torch.arange(len(samples))
        images = samples.pixels(rows)
        proposed = self.change.expand_as(images).clone() if self.absolute else images + self.change
        yield Crafted(rows, proposed, torch.ones_like(rows), torch.zeros_like(rows, dtype=torch.bool))


def proposing(change: float | Tensor, threat: ThreatModel = LINF, absolute: bool = False) -> CraftJob:
    proposal: Attack = Proposing(torch.as_tensor(change, dtype=torch.float32), absolute)
    return CraftJob(ResolvedAttack("cheat", proposal, {}, {}), threat, 0, CLASSES, whitebox=False)


def grey_arena() -> Arena:
    """Images far from both ends of the range."""
    images = np.full((COUNT, 1, 8, 8), 0.5, dtype=np.float32)
    dataset = Dataset("grey", images, np.zeros(COUNT, dtype=np.int64), np.arange(COUNT), tuple("abcd"), "fingerprint")
    return Arena(dataset, torch.device("cpu"), 5)


def one_pixel(value: float) -> Tensor:
    change = torch.zeros(1, 1, 8, 8)
    change[0, 0, 3, 3] = value
    return change


@pytest.mark.parametrize(
    ("change", "threat", "worst"),
    [
        (0.05 + 1e-4, LINF, 0.0501),
        (-0.05 - 1e-4, LINF, 0.0501),
        (one_pixel(0.06), LINF, 0.06),
        (one_pixel(0.3 + 1e-4), L2, 0.3001),
        ((0.3 + 1e-4) / 8, L2, 0.3001),
    ],
)
def test_an_image_beyond_the_budget_is_an_error_with_the_worst_distance(
    change: float | Tensor, threat: ThreatModel, worst: float
) -> None:
    with pytest.raises(ThreatModelViolation, match='attack "cheat" left its threat model') as error:
        run(proposing(change, threat), model(), grey_arena())
    said = str(error.value).split("worst distance ")[1].split(",")[0]
    assert float(said) == pytest.approx(worst, abs=1e-6)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(("value", "message"), [(1.0001, "to 1.0001"), (-1e-6, "from -1e-06")])
def test_an_image_outside_the_range_is_an_error_however_large_the_budget(value: float, message: str) -> None:
    job = proposing(value, ThreatModel("linf", 2.0), absolute=True)
    with pytest.raises(ThreatModelViolation, match=rf"left the range \[0, 1\].* {message}"):
        run(job, model(), grey_arena())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_image_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(ThreatModelViolation, match="NaN or infinite"):
        run(proposing(one_pixel(value)), model(), grey_arena())


def test_a_violation_in_one_image_withholds_its_whole_batch() -> None:
    change = torch.zeros(COUNT, 1, 8, 8)
    change[7, 0, 0, 0] = 0.06
    judged = {"cell": model()}
    batches = proposing(change).run(
        Surrogate(model()), judged, {"cell": np.zeros(COUNT, dtype=np.int64)}, grey_arena(), NOTHING
    )
    with pytest.raises(ThreatModelViolation):
        next(batches)


@pytest.mark.parametrize("threat", [LINF, L2, ThreatModel("linf", 8 / 255), ThreatModel("l2", 128 / 255)])
def test_an_image_on_the_edge_of_the_budget_is_no_violation(threat: ThreatModel) -> None:
    for name in ("fgsm", "pgd", "mi-fgsm"):
        outcomes = run(transfer(name, threat), model(), arena())["cell"]
        assert outcomes[threat.norm].max() > 0.98 * threat.epsilon, "what [0, 1] cuts off is lost"


def test_both_distances_are_recorded() -> None:
    outcomes = run(proposing(one_pixel(0.04)), model(), grey_arena())["cell"]
    assert outcomes["linf"].to_numpy() == pytest.approx(0.04)
    assert outcomes["l2"].to_numpy() == pytest.approx(0.04)
    outcomes = run(proposing(0.04), model(), grey_arena())["cell"]
    assert outcomes["linf"].to_numpy() == pytest.approx(0.04)
    assert outcomes["l2"].to_numpy() == pytest.approx(0.04 * 8)


# --- the target itself is asked --------------------------------------------------------------------------------


class Liar(nn.Module):
    """Claims class 0 with confidence, or with `shift` another class than the original."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[9.0, 0, 0, 0]]).expand(len(images), 4) + 0 * images.sum()


def test_a_fast_twin_that_lies_cannot_report_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.surrogate, "prepare", lambda *_: Prepared(Liar(), 0.0, 0, "float32"))
    original, somewhere = model(), arena()
    outcomes = run(whitebox(), original, somewhere)["cell"]
    fooled_by_the_lie = outcomes["label"] != 0
    assert fooled_by_the_lie.any()
    assert not outcomes["success"].any(), "the twin's word does not count"
    assert (outcomes["adversarial_prediction"] == outcomes["label"]).all()


def test_judging_uses_the_weights_of_each_target() -> None:
    surrogate, other = model(0), model(1)
    somewhere = arena(of=other)
    outcomes = run(transfer(), surrogate, somewhere, own=surrogate, other=other)
    for id, target in (("own", surrogate), ("other", other)):
        assert (outcomes[id]["clean_prediction"].to_numpy()[::-1] == clean(target, somewhere)).all()
    assert (outcomes["own"]["linf"] == outcomes["other"]["linf"]).all(), "crafted once, judged twice"
    assert (outcomes["own"]["adversarial_prediction"] != outcomes["other"]["adversarial_prediction"]).any()


def test_recorded_predictions_are_those_of_the_target_on_the_proposed_images() -> None:
    target, somewhere = model(), grey_arena()
    change = 0.05 * torch.randn(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    outcomes = run(proposing(change), target, somewhere)["cell"]
    assert outcomes["adversarial_prediction"].tolist() == predict(target, 0.5 + change).tolist()
    assert (outcomes["success"] == (outcomes["adversarial_prediction"] != outcomes["label"])).all()


def test_every_sample_has_exactly_one_outcome_in_order_of_nothing() -> None:
    for job in (whitebox(), transfer(), whitebox("torchattacks:PGD"), whitebox(restarts=3)):
        outcomes = run(job, model(), arena(wrong=4))["cell"]
        assert outcomes["index"].tolist() == sorted(arena().dataset.indices.tolist())


def test_bytes_and_floats_are_judged_alike() -> None:
    bytes, floats = (run(whitebox(), model(), arena(dtype=dtype))["cell"] for dtype in (np.uint8, np.float32))
    pd.testing.assert_frame_equal(bytes, floats)


class NotFinite(nn.Module):
    """NaN logits where the first pixel is dark, class 1 elsewhere."""

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.tensor([[0.0, 1, 0, 0]]).expand(len(images), 4) + 0 * images.sum()
        return torch.where(images[:, :1, 0, 0] < 0.5, torch.nan, logits)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_are_a_prediction_that_is_never_correct(bad: float) -> None:
    class Bad(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = torch.eye(4)[: len(images)].clone()
            logits[0, 2] = bad
            return logits

    predictions = predict(Classifier(Bad(), Provenance("bad")), torch.zeros(3, 1, 8, 8))
    assert predictions.tolist() == [-1, 1, 2]


def test_samples_with_nan_logits_count_as_lost_without_an_attack() -> None:
    broken, somewhere = Classifier(NotFinite(), Provenance("broken")), arena()
    outcomes = run(whitebox(), broken, somewhere)["cell"]
    dark = somewhere.images[:, 0, 0, 0].flip(0).numpy() < 0.5
    assert dark.any()
    assert (outcomes["clean_prediction"].to_numpy() == np.where(dark, -1, 1)).all()
    assert outcomes["success"][dark].all()
    assert (outcomes["passes"][dark] == 0).all()


# --- what counts as a success ----------------------------------------------------------------------------------


def test_clean_errors_count_as_lost_with_no_perturbation_and_no_pass() -> None:
    somewhere = arena(wrong=7)
    outcomes = run(whitebox(), model(), somewhere)["cell"].set_index("index")
    lost = outcomes.loc[somewhere.dataset.indices[:7]]
    assert lost["success"].all()
    assert (lost["adversarial_prediction"] == lost["clean_prediction"]).all()
    assert (lost[["linf", "l2", "passes"]] == 0).all(axis=None)
    attacked = outcomes.loc[somewhere.dataset.indices[7:]]
    assert (attacked["passes"] > 0).all()


def test_a_transfer_attack_spares_no_sample_because_targets_differ() -> None:
    outcomes = run(transfer(steps=3), model(), arena(wrong=7), a=model(), b=model(1))
    for frame in outcomes.values():
        assert (frame["passes"] == 3).all()
        assert (frame["linf"] > 0).all()


def test_a_targeted_attack_succeeds_only_in_the_wanted_class() -> None:
    threat = ThreatModel("linf", 0.2, "next")
    somewhere = arena(wrong=6)
    outcomes = run(whitebox("pgd", threat), model(), somewhere)["cell"]
    assert (outcomes["wanted"] == (outcomes["label"] + 1) % CLASSES).all()
    assert (outcomes["success"] == (outcomes["adversarial_prediction"] == outcomes["wanted"])).all()
    assert 0 < outcomes["success"].mean() < 1
    # Predicted as the wanted class already: done. Wrong in another way: still to be attacked.
    already = outcomes["clean_prediction"] == outcomes["wanted"]
    assert ((outcomes["passes"] == 0) == already).all()


def arena_of(labels: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]) -> Arena:
    images = np.zeros((len(labels), 1, 1, 1), dtype=np.float32)
    names = tuple(str(label) for label in range(int(labels.max()) + 1))
    return Arena(Dataset("labels", images, labels, indices, names, ""), torch.device("cpu"), 5)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("goal", ["next", "random"])
def test_the_wanted_class_is_never_the_true_one(goal: Goal, classes: int) -> None:
    labels = np.arange(6000) % classes
    wanted = wanted_classes(arena_of(labels, np.arange(6000)), ThreatModel("linf", 0.1, goal), classes, seed=0).numpy()
    assert (wanted != labels).all()
    assert wanted.min() >= 0
    assert wanted.max() < classes


def test_random_wanted_classes_are_uniform_over_the_others() -> None:
    labels = np.full(6000, 2)
    wanted = wanted_classes(arena_of(labels, np.arange(6000)), ThreatModel("linf", 0.1, "random"), 5, seed=0).numpy()
    counts = np.bincount(wanted, minlength=5)
    assert counts[2] == 0
    assert stats.chisquare(np.delete(counts, 2)).pvalue > 0.01


def test_a_random_wanted_class_belongs_to_the_image_and_the_seed_not_to_its_place() -> None:
    threat, labels, indices = ThreatModel("linf", 0.1, "random"), np.arange(50) % 5, 10 * np.arange(50)
    straight = wanted_classes(arena_of(labels, indices), threat, 5, seed=0)
    backwards = wanted_classes(arena_of(labels[::-1].copy(), indices[::-1].copy()), threat, 5, seed=0)
    assert torch.equal(straight, backwards.flip(0))
    assert not torch.equal(straight, wanted_classes(arena_of(labels, indices), threat, 5, seed=1))


def test_an_untargeted_attack_wants_any_class_but_the_true_one() -> None:
    assert torch.equal(wanted_classes(arena(), LINF, CLASSES, seed=0), arena().labels)


# --- resume ----------------------------------------------------------------------------------------------------

MASKS = {
    "every other": np.arange(COUNT) % 2 == 0,
    "the first half": np.arange(COUNT) < COUNT // 2,
    "all but one": np.arange(COUNT) != 13,
    "all": np.ones(COUNT, dtype=bool),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "job",
    [
        whitebox(),
        whitebox(restarts=2),
        whitebox("di-fgsm", largest=1.5),
        transfer("mi-fgsm"),
        transfer("mi-admix-fgsm", steps=3),
        whitebox("cw", L2, steps=5),
        whitebox("torchattacks:PGD"),
        transfer("torchattacks:Square", n_queries=30),
    ],
    ids=["pgd", "restarts", "di", "transfer", "admix", "cw", "torchattacks", "torchattacks transfer"],
)
def test_a_resumed_job_gives_the_outcomes_of_an_uninterrupted_one(job: CraftJob, mask: str) -> None:
    somewhere, finished = arena(wrong=3), MASKS[mask]
    whole = run(job, model(), somewhere)["cell"].set_index("index")
    batches = list(
        job.run(Surrogate(model()), {"cell": model()}, {"cell": clean(model(), somewhere)}, somewhere, finished)
    )
    expected = set(somewhere.dataset.indices[~finished].tolist())
    if not expected:
        assert batches == []
        return
    rest = pd.concat([batch["cell"] for batch in batches]).set_index("index")
    assert set(rest.index) == expected
    assert rest.index.is_unique
    exact = ["label", "wanted", "clean_prediction", "adversarial_prediction", "success", "passes", "zero_gradient"]
    pd.testing.assert_frame_equal(rest[exact], whole.loc[rest.index, exact])
    pd.testing.assert_frame_equal(rest[["linf", "l2"]], whole.loc[rest.index, ["linf", "l2"]], rtol=1e-5)


def given_batches(finished: npt.NDArray[np.bool_], batch_dependent: bool) -> list[list[int]]:
    """Which samples the attack is given together, by data set index."""
    proposal = Proposing(torch.zeros(1), batch_dependent=batch_dependent)
    job = CraftJob(ResolvedAttack("still", proposal, {}, {}), LINF, 0, CLASSES, whitebox=True)
    somewhere = arena(batch_size=5, wrong=3)
    list(job.run(Surrogate(model()), {"cell": model()}, {"cell": clean(model(), somewhere)}, somewhere, finished))
    return proposal.seen


def test_a_batch_dependent_attack_meets_the_same_batches_again_on_resume() -> None:
    whole = given_batches(NOTHING, batch_dependent=True)
    indices = arena().dataset.indices
    assert whole == [indices[3:][start : start + 5].tolist() for start in range(0, COUNT - 3, 5)]
    finished = NOTHING.copy()
    finished[3:8] = finished[9:11] = True
    assert given_batches(finished, batch_dependent=True) == whole[1:], "one missing sample brings its whole batch back"


def test_any_other_attack_is_given_only_what_is_missing() -> None:
    finished = MASKS["every other"] | (np.arange(COUNT) < 3)
    (given,) = given_batches(finished, batch_dependent=False)
    assert given == arena().dataset.indices[~finished].tolist()


# --- clean predictions -----------------------------------------------------------------------------------------


def test_clean_outcomes_are_outcomes_of_no_attack() -> None:
    somewhere = arena(wrong=5)
    outcomes = run_clean(model(), somewhere)
    assert outcomes["index"].tolist() == somewhere.dataset.indices.tolist()
    assert (outcomes["success"] == (np.arange(COUNT) < 5)).all()
    assert (outcomes["clean_prediction"] == outcomes["adversarial_prediction"]).all()
    assert (outcomes[["linf", "l2", "passes", "zero_gradient"]] == 0).all(axis=None)


def test_a_job_leaves_surrogate_and_targets_as_they_were() -> None:
    surrogate, target = model(0), model(1)
    prints = surrogate.fingerprint, target.fingerprint
    state = torch.random.get_rng_state()
    for name in ("pgd", "torchattacks:PGD"):
        run(transfer(name), surrogate, arena(), target=target)
    assert (surrogate.fingerprint, target.fingerprint) == prints
    assert not any(p.requires_grad or p.grad is not None for p in (*surrogate.parameters(), *target.parameters()))
    assert torch.equal(torch.random.get_rng_state(), state)


# --- every sample is answered for, once ------------------------------------------------------------------------


class Careless(Proposing):
    """An attack that answers for the rows it is told to, in the shape it is told to."""

    rows: ClassVar[list[int]] = []
    cut: ClassVar[int] = 8

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        rows = torch.tensor(self.rows)
        images = samples.pixels(rows)[..., : self.cut]
        yield Crafted(rows, images, torch.ones_like(rows), torch.zeros_like(rows, dtype=torch.bool))


@pytest.mark.parametrize(
    ("answered", "width", "message"),
    [
        (range(1, COUNT), 8, f"returned no image for 1 of {COUNT} samples"),
        ([*range(COUNT), 0], 8, "returned a sample twice"),
        (range(COUNT), 7, "returned images of shape"),
    ],
)
def test_an_attack_that_loses_repeats_or_cuts_samples_is_an_error(
    answered: Sequence[int], width: int, message: str
) -> None:
    class This(Careless):
        rows: ClassVar[list[int]] = list(answered)
        cut: ClassVar[int] = width

    attack: Attack = This(torch.zeros(1))
    job = CraftJob(ResolvedAttack("careless", attack, {}, {}), LINF, 0, CLASSES, whitebox=False)
    with pytest.raises(HarnessError, match=message):
        run(job, model(), grey_arena())


# --- precision --------------------------------------------------------------------------------------------------


def twins_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The precisions of the twins that a job prepares, in order."""
    asked: list[str] = []

    def note(surrogate: Classifier, images: Tensor, precision: PassPrecision, compile_for: int | None) -> Prepared:
        asked.append(precision)
        return prepare(surrogate, images, precision, compile_for)

    monkeypatch.setattr(harness.surrogate, "prepare", note)
    return asked


def test_a_screen_leaves_only_its_survivors_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, original, somewhere = twins_asked(monkeypatch), model(), arena(wrong=3)
    exact, screened = (
        run(replace(whitebox(steps=5), precision=precision), original, somewhere)["cell"]
        for precision in ("float32", "screen")
    )
    assert asked == ["float32", "bfloat16", "float32"]
    assert (screened["success"] | ~exact["success"]).all(), "never weaker than float32 alone"
    assert exact["success"].any()
    assert (~exact["success"]).any()
    survivors = ~screened["success"].to_numpy()
    assert (screened["passes"][survivors] == 10).all(), "both stages count"
    assert (screened["passes"][~survivors] <= 10).all()
    assert sorted(screened["index"]) == sorted(somewhere.dataset.indices.tolist())


def test_a_screen_goes_on_where_it_was_stopped() -> None:
    job, original = replace(whitebox(steps=5), precision="screen"), model()
    whole = run(job, original, arena())["cell"]
    finished = np.arange(COUNT) % 2 == 0
    rest = run(job, original, arena(), finished)["cell"]
    assert sorted(rest["index"]) == sorted(arena().dataset.indices[~finished].tolist())
    expected = whole[whole["index"].isin(rest["index"])].reset_index(drop=True)
    assert (rest["passes"] == expected["passes"]).all()
    assert (rest["success"] == expected["success"]).all()


def test_passes_in_bfloat16_are_judged_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, original = twins_asked(monkeypatch), model()
    outcomes = run(replace(whitebox(), precision="bfloat16"), original, arena())["cell"]
    assert asked == ["bfloat16"]
    exact = run(whitebox(), original, arena())["cell"]
    assert abs(int(outcomes["success"].sum()) - int(exact["success"].sum())) <= 1


@pytest.mark.parametrize(
    ("name", "policy", "expected"),
    [
        ("pgd", "bfloat16", ["bfloat16"]),
        ("square", "bfloat16", ["bfloat16", "float32"]),
        ("autoattack", "bfloat16", ["bfloat16", "float32"]),
        ("square", "screen", ["bfloat16", "float32"]),
        ("square", "float32", ["float32"]),
    ],
)
def test_attacks_that_compare_scores_get_a_twin_in_float32(
    name: str, policy: Precision, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, given = twins_asked(monkeypatch), {"queries": 5} if name == "square" else {}
    far = replace(LINF, epsilon=1e-3)
    job = whitebox(name, far, **given)
    if name == "autoattack":
        short = Cascade({"pgd": attack("pgd", far).attack, "square": attack("square", far, queries=5).attack})
        job = replace(job, attack=job.attack._replace(attack=short))
    run(replace(job, precision=policy), model(), arena())
    assert asked == expected
