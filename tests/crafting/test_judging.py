"""The target itself is asked, and what it says counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import harness.surrogate
from harness.core.threat import ThreatModel
from harness.judging import predict, run_clean
from harness.models.classifier import Classifier, Provenance
from harness.models.prepare import Prepared

from .toys import (
    CLASSES,
    COUNT,
    arena,
    clean,
    grey_arena,
    model,
    proposing,
    run,
    transfer,
    whitebox,
)


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
