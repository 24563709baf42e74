"""AutoAttack: what its ensembles are, and that they find what the official package finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import Attack, Crafted, Samples, Setting
from harness.attacks.apgd import APGD
from harness.attacks.autoattack import AutoAttack, plus, rand, standard
from harness.attacks.cascade import Cascade
from harness.attacks.fab import FAB, fab_t
from harness.attacks.square import Square, square
from harness.core.errors import HarnessError
from harness.core.threat import Norm, ThreatModel
from tests.attacks.recorded.problem import QUERIES, problem

Craft = Callable[..., Crafted]

RECORDED = json.loads((Path(__file__).parent / "recorded" / "official_autoattack.json").read_text())

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")


def member(ensemble: Any, norm: Norm, name: str) -> Any:
    return ensemble(norm).attacks[name]


def test_the_standard_ensemble_has_the_published_members_and_budgets() -> None:
    assert standard("linf").members == ("apgd-ce", "apgd-t", "fab-t", "square")
    for norm in ("linf", "l2"):
        first, targeted = member(standard, norm, "apgd-ce"), member(standard, norm, "apgd-t")
        assert (first.steps, first.restarts, first.loss, first.targets) == (100, 1, "cross-entropy", 0)
        assert (targeted.steps, targeted.restarts, targeted.targets) == (100, 1, 9)
    fab, last = member(standard, "linf", "fab-t"), member(standard, "linf", "square")
    assert isinstance(fab, FAB)
    assert (fab.steps, fab.restarts, fab.targets) == (100, 1, 9)
    assert (fab.alpha_max, fab.eta, fab.beta) == (0.1, 1.05, 0.9)
    assert isinstance(last, Square)
    assert (last.queries, last.initial_share, last.rescale_schedule, last.runs) == (5000, 0.8, False, 1)


def test_in_l1_the_standard_ensemble_restarts_five_times_and_aims_at_five_classes() -> None:
    assert member(standard, "l1", "apgd-ce").restarts == 5
    assert member(standard, "l1", "apgd-t").targets == 5


def test_the_plus_and_rand_ensembles_have_the_published_members() -> None:
    assert plus("linf").members == ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t")
    assert [member(plus, "linf", name).restarts for name in ("apgd-ce", "apgd-dlr", "fab", "fab-t")] == [5, 5, 5, 1]
    assert rand("linf").members == ("apgd-ce", "apgd-dlr")
    assert [member(rand, "linf", name).eot for name in rand("linf").members] == [20, 20]


def test_other_goals_are_refused() -> None:
    with pytest.raises(HarnessError, match="untargeted"):
        AutoAttack("standard").resolved(ThreatModel("linf", 0.1, "next"))


def test_versions_of_the_members_are_part_of_the_question() -> None:
    resolved = AutoAttack("standard").resolved(ThreatModel("l2", 0.1))
    assert list(resolved["members"]) == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert resolved["members"]["square"] == square().version


def survivors(attack: Attack, norm: Norm, craft: Craft) -> set[int]:
    network, samples = problem()
    setting = Setting(ThreatModel(norm, RECORDED[norm]["epsilon"]), stop_when_fooled=True)
    found = craft(attack, network, samples, setting).adversarial
    return set((network(found).argmax(1) == samples.classes).nonzero()[:, 0].tolist())


ALONE: dict[str, Attack] = {
    "apgd-ce": APGD(), "apgd-dlr": APGD(loss="dlr"), "apgd-t": APGD(targets=9), "fab-t": fab_t(),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("norm", NORMS)
def test_a_member_alone_finds_what_the_official_one_finds(norm: Norm, name: str, craft: Craft) -> None:
    attack = ALONE[name]
    if norm == "l1" and isinstance(attack, APGD):
        attack = APGD(restarts=5, loss=attack.loss) if not attack.targets else APGD(targets=5)
    ours, official = survivors(attack, norm, craft), set(RECORDED[norm][name])
    assert len(ours - official) <= 1, "weaker"
    assert len(official - ours) <= 1, "stronger than an equal can be"


@pytest.mark.parametrize("norm", NORMS)
def test_square_alone_is_no_weaker_than_the_official_one(norm: Norm, craft: Craft) -> None:
    ours, official = survivors(square(queries=QUERIES), norm, craft), RECORDED[norm]["square"]
    assert len(ours) <= len(official) + 3, "random searches differ by a few of these few samples"


@pytest.mark.parametrize("norm", NORMS)
def test_the_ensemble_finds_what_the_official_one_finds(norm: Norm, craft: Craft) -> None:
    ensemble = Cascade({**standard(norm).attacks, "square": square(queries=QUERIES)})
    assert survivors(ensemble, norm, craft) == set(RECORDED[norm]["standard"])


class Few(nn.Module):
    """Two or three classes; the first leads by little in the middle of the range."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        lead = images.flatten(1).mean(1, keepdim=True) - 0.55
        return torch.cat([torch.zeros_like(lead), *(lead * (k + 1) for k in range(self.classes - 1))], 1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("epsilon", "robust"), [(0.04, True), (0.06, False)])
def test_few_classes_are_attacked_too(classes: int, epsilon: float, robust: bool, craft: Craft) -> None:
    samples = Samples(torch.full((2, 1, 6, 6), 0.5), torch.zeros(2, dtype=torch.int64), torch.arange(2))
    for attack in {**standard("linf").attacks, "square": square(queries=20)}.values():
        result = craft(attack, Few(classes), samples, Setting(ThreatModel("linf", epsilon), stop_when_fooled=True))
        if robust:
            assert (Few(classes)(result.adversarial).argmax(1) == 0).all()
        elif not isinstance(attack, Square):
            assert (Few(classes)(result.adversarial).argmax(1) != 0).all()
