"""Restarts: the same attack from other random numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import nn

from harness.attacks import ATTACKS, Crafted, Samples, Setting
from harness.core.errors import HarnessError
from harness.core.losses import margin
from harness.core.threat import ThreatModel

Craft = Callable[..., Crafted]

LINF = ThreatModel("linf", 2 / 255)
STEPS = {"steps": 3, "step_size": "eps/2"}
"""Few and short enough that some starts fail."""


def test_more_restarts_never_fool_fewer_and_keep_what_fewer_found(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    setting = Setting(LINF, stop_when_fooled=True)
    results = [
        craft(ATTACKS.get("pgd")(**STEPS, restarts=restarts), network, samples, setting) for restarts in (1, 2, 4, 8)
    ]
    fooled = [margin(network(result.adversarial), samples.classes) > 0 for result in results]
    for fewer, more in pairwise(fooled):
        assert (more | ~fewer).all()
    assert fooled[-1].sum() > fooled[0].sum(), "this budget makes restarts worth while"
    assert torch.equal(results[-1].adversarial[fooled[0]], results[0].adversarial[fooled[0]])


def test_only_survivors_meet_the_next_run(network: nn.Module, samples: Samples, craft: Craft) -> None:
    setting = Setting(LINF, stop_when_fooled=True)
    once = craft(ATTACKS.get("pgd")(**STEPS), network, samples, setting)
    twice = craft(ATTACKS.get("pgd")(**STEPS, restarts=2), network, samples, setting)
    fooled = margin(network(once.adversarial), samples.classes) > 0
    assert fooled.any()
    assert not fooled.all()
    assert (twice.passes[fooled] <= once.passes[fooled] + 1).all()
    assert (twice.passes[~fooled] > once.passes[~fooled]).all()
    assert (twice.passes <= 2 * (3 + 1)).all()


@pytest.mark.parametrize("goal", ["untargeted", "next"])
def test_where_no_sample_may_stop_the_point_of_all_runs_that_fools_most_is_kept(
    goal: str, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    threat = ThreatModel("linf", LINF.epsilon, goal)  # type: ignore[arg-type]
    sign = 1 if goal == "untargeted" else -1
    wanted = samples.classes if goal == "untargeted" else (samples.classes + 1) % 5
    asked = Samples(samples.images, wanted, samples.indices)
    runs = [craft(ATTACKS.get("pgd")(**STEPS), network, asked, Setting(threat, run=run)) for run in range(4)]
    leads = torch.stack([sign * margin(network(run.adversarial), wanted) for run in runs])
    best = leads.argmax(0)
    assert len(set(best.tolist())) > 1
    expected = torch.stack([runs[best[row]].adversarial[row] for row in range(len(samples))])
    result = craft(ATTACKS.get("pgd")(**STEPS, restarts=4), network, asked, Setting(threat, batch_size=3))
    torch.testing.assert_close(result.adversarial, expected, rtol=0, atol=1e-6)
    assert result.passes.tolist() == [4 * (3 + 1)] * len(samples), "every run ends with a look at its last point"


def test_the_cost_is_that_of_all_runs() -> None:
    assert ATTACKS.get("pgd")(steps=7, restarts=3).cost(Setting(LINF)) == 3 * (7 + 1)


def test_restarts_without_a_random_start_are_refused() -> None:
    with pytest.raises(HarnessError, match=r"all 3 runs are the same; set random_start = true"):
        ATTACKS.get("pgd")(restarts=3, random_start=False)
    with pytest.raises(HarnessError, match="random_start"):
        ATTACKS.get("cw-pgd")(restarts=2, random_start=False)
