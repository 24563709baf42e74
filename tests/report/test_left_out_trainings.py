"""Claims on networks that are trained several times, where some weights are not here."""

from __future__ import annotations

import pytest

from harness.report import Claim, render
from harness.report.claim_texts import claims_section

from .lab import Lab
from .test_claims import strong

CLAIM = {"name": "none", "greater": {"model.norm": "none"}, "than": {"model.norm": "bn"}, "match": ["attack"]}


@pytest.fixture
def trained_twice(lab: Lab) -> Lab:
    """Two trainings of a network without normalization, and two of its twin with BN; 100 images."""
    lab.datasets[0] = lab.datasets[0].model_copy(update={"samples": 100})
    for norm in ("none", "bn"):
        for seed in (0, 1):
            lab.judge_clean(lab.model(f"{norm}-{seed}", label="ResNet", norm=norm), [True] * 100)
    return lab


def judged(lab: Lab, fooled: dict[str, int | None], **keys: object) -> Claim:
    """The claim once models are attacked; None for those without weights."""
    for name, hits in fooled.items():
        lab.attack(name, name, None if hits is None else strong(hits))
    absent = {name for name, hits in fooled.items() if hits is None}
    lab.models = [model.model_copy(update={"left_out": model.name in absent}) for model in lab.models]
    return render(lab.suite(claims=[{**CLAIM, **keys}]), lab.cells(), lab.store).claims[0]


def test_trainings_that_are_here_stand_for_those_that_are_not(trained_twice: Lab) -> None:
    claim = judged(trained_twice, {"none-0": 20, "none-1": None, "bn-0": 50, "bn-1": 70})
    (comparison,) = claim.comparisons
    assert comparison.means is not None
    assert (comparison.means.first, comparison.means.second) == pytest.approx((0.8, 0.4))
    assert claim.verdict == "reproduced"
    assert claim.untrained == ("none-1",)
    assert "without none-1, whose weights are not here" in claims_section([claim])


def test_a_side_of_which_nothing_is_here_has_not_run(trained_twice: Lab) -> None:
    claim = judged(trained_twice, {"none-0": None, "none-1": None, "bn-0": 50, "bn-1": None})
    assert claim.verdict == "not run"
    assert claim.comparisons[0].detail.startswith("2 of 3 records missing")
    assert claim.untrained == ("bn-1",)


def test_what_a_claim_averages_over_cannot_be_missing(trained_twice: Lab) -> None:
    lab = trained_twice
    for name in ("none-1", "bn-1"):
        entry = next(model for model in lab.models if model.name == name)
        lab.models[lab.models.index(entry)] = entry.model_copy(update={"label": "VGG"})
    fooled = {"none-0": 20, "none-1": None, "bn-0": 50, "bn-1": 70}
    claim = judged(lab, fooled, average=["model"])
    assert claim.verdict == "not run"
    assert claim.untrained == ()


def test_a_training_that_has_weights_but_no_record_is_waited_for(trained_twice: Lab) -> None:
    lab = trained_twice
    lab.attack("none-1", "none-1", None)
    claim = judged(lab, {"none-0": 20, "bn-0": 50, "bn-1": 70})
    assert claim.verdict == "not run"
