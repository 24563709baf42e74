"""The front page: samples, and when a model counts as fooled."""

from __future__ import annotations

import pytest
import torch

from harness.attacks import Samples, as_float, fooled
from harness.core.threat import ThreatModel

UNTARGETED, TARGETED = ThreatModel("linf", 0.1), ThreatModel("linf", 0.1, "next")


def test_an_untargeted_attack_fools_where_another_class_leads() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 1.0, 0.0]])
    assert fooled(logits, torch.tensor([0, 0, 0]), UNTARGETED).tolist() == [False, True, False]


def test_a_targeted_attack_fools_where_the_wanted_class_leads() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 1.0, 0.0]])
    assert fooled(logits, torch.tensor([0, 0, 0]), TARGETED).tolist() == [True, False, False]


def test_the_lead_must_exceed_the_slack() -> None:
    logits = torch.tensor([[0.0, 0.4], [0.0, 0.6]])
    assert fooled(logits, torch.tensor([0, 0]), UNTARGETED, slack=0.5).tolist() == [False, True]
    assert fooled(logits, torch.tensor([1, 1]), TARGETED, slack=0.5).tolist() == [False, True]


@pytest.mark.parametrize("threat", [UNTARGETED, TARGETED])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_logits_that_are_not_finite_fool_nobody(threat: ThreatModel, bad: float, place: int) -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    logits[0, place] = bad
    for label in range(3):
        assert not fooled(logits, torch.tensor([label]), threat).any()


def test_bytes_become_shares_of_255_and_floats_stay() -> None:
    assert as_float(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])
    pixels = torch.tensor([0.1, 0.9])
    assert as_float(pixels) is pixels


def test_samples_keep_image_class_and_index_together() -> None:
    samples = Samples(torch.arange(3.0).view(3, 1, 1, 1), torch.tensor([5, 6, 7]), torch.tensor([50, 60, 70]))
    some = samples.take(torch.tensor([2, 0]))
    assert len(some) == 2
    assert some.images.flatten().tolist() == [2, 0]
    assert some.classes.tolist() == [7, 5]
    assert some.indices.tolist() == [70, 50]
    draws = some.draws(seed=9, step=4)
    assert (draws.seed, draws.indices.tolist(), draws.steps.tolist()) == (9, [70, 50], [4, 4])
