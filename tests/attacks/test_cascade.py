"""Cascades: order, survivors, members, and points that fool by next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.attacks import Crafted, Model, Samples, Setting
from harness.attacks.cascade import Cascade
from harness.attacks.fgsm import pgd
from harness.core.errors import HarnessError
from harness.core.threat import Norm, ThreatModel

SAMPLES = Samples(torch.zeros(6, 1, 2, 2), torch.zeros(6, dtype=torch.int64), 10 * torch.arange(6))

SETTING = Setting(ThreatModel("linf", 1.0), batch_size=2, stop_when_fooled=True)


def brightness(images: Tensor) -> Tensor:
    """Two classes: the second leads by the mean pixel less a half."""
    lead = images.mean((1, 2, 3)) - 0.5
    return torch.stack([torch.zeros_like(lead), lead], 1)


@dataclass(frozen=True)
class Painting:
    """Paints samples, by their index, in a given brightness, and remembers whom it met."""

    brightness: dict[int, float]
    met: list[int] = field(default_factory=list)
    norms: frozenset[Norm] = frozenset({"linf"})
    version: str = "1"
    batch_dependent: bool = False
    members: tuple[str, ...] = ()

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        if threat.goal != "untargeted":
            raise HarnessError("untargeted only")
        return {"colours": len(self.brightness)}

    def cost(self, setting: Setting) -> int:
        return 3

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        self.met.extend(samples.indices.tolist())
        for rows in torch.arange(len(samples)).split(setting.batch_size):
            colours = [self.brightness.get(index, 0.0) for index in samples.indices[rows].tolist()]
            painted = torch.tensor(colours).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
            yield Crafted(rows, painted, torch.full_like(rows, 3), torch.tensor(colours) == 0.25)


class Comparing(Painting):
    """Lives on differences of scores."""

    compares_scores = True


def everything(cascade: Cascade, setting: Setting = SETTING) -> dict[int, tuple[float, int, int, bool]]:
    """By row: brightness, passes, member, zero gradient."""
    found: dict[int, tuple[float, int, int, bool]] = {}
    for part in cascade.craft(brightness, SAMPLES, setting):
        assert part.member is not None
        for row, image, passes, zero, member in zip(*part[:4], part.member, strict=True):
            assert int(row) not in found, "every sample once"
            found[int(row)] = (float(image.mean()), int(passes), int(member), bool(zero))
    assert sorted(found) == list(range(6))
    return found


def test_only_survivors_meet_the_next_attack() -> None:
    first, second = Painting({10: 0.9, 30: 0.8}), Painting({20: 0.7})
    everything(Cascade({"first": first, "second": second}))
    assert first.met == [0, 10, 20, 30, 40, 50]
    assert second.met == [0, 20, 40, 50]


def test_the_first_image_that_fools_is_kept_with_the_number_of_its_maker_and_all_that_was_spent() -> None:
    found = everything(Cascade({"first": Painting({10: 0.9, 20: 0.25}), "second": Painting({20: 0.7, 10: 0.6})}))
    assert found[1] == pytest.approx((0.9, 3 + 1, 0, False))
    assert found[2] == pytest.approx((0.7, 2 * (3 + 1), 1, True)), "the first attack's zero gradient is remembered"
    assert found[3][1:3] == (2 * (3 + 1), 1)


def test_a_point_that_fools_by_less_than_the_slack_is_not_enough_but_not_forgotten() -> None:
    setting = Setting(SETTING.threat, batch_size=2, stop_when_fooled=True, slack=0.1)
    second = Painting({10: 0.3, 20: 0.9})
    found = everything(Cascade({"first": Painting({10: 0.55, 20: 0.55}), "second": second}), setting)
    assert second.met == [0, 10, 20, 30, 40, 50]
    assert found[1] == pytest.approx((0.55, 2 * (3 + 1), 0, False))
    assert found[2] == pytest.approx((0.9, 2 * (3 + 1), 1, False))


def test_what_compares_scores_waits_until_all_is_in_float32() -> None:
    first, second = Painting({10: 0.9}), Comparing({20: 0.9})
    found = everything(Cascade({"first": first, "second": second}), replace(SETTING, screening=True))
    assert second.met == []
    assert found[1][2] == found[2][2] == 0, "survivors propose the point of the last attack that ran"
    assert found[2] == pytest.approx((0.0, 3 + 1, 0, False))


def test_nothing_more_is_run_when_nobody_is_left() -> None:
    second = Painting({})
    everything(Cascade({"first": Painting(dict.fromkeys(range(0, 60, 10), 1.0)), "second": second}))
    assert second.met == []


def test_a_cascade_speaks_for_all_its_members() -> None:
    cascade = Cascade({"painting": Painting({}), "pgd": pgd(steps=5)})
    assert cascade.members == ("painting", "pgd")
    assert cascade.norms == {"linf"}
    assert cascade.cost(SETTING) == 8 + 2, "with a look at what each proposes"
    assert cascade.resolved(ThreatModel("linf", 1.0)) == {"painting.colours": 0, "pgd.step_size": 0.5}
    with pytest.raises(HarnessError, match="untargeted only"):
        cascade.resolved(ThreatModel("linf", 1.0, "next"))


def test_successes_are_those_on_the_exact_twin_where_there_is_one() -> None:
    def dim(images: Tensor) -> Tensor:
        return brightness(images) - torch.tensor([0.0, 1.0])

    first, second = Painting({10: 0.9}), Painting({20: 0.7})
    cascade = Cascade({"first": first, "second": second})
    found: dict[int, int] = {}
    for part in cascade.craft(dim, SAMPLES, replace(SETTING, exact=lambda: (brightness, 0.0))):
        assert part.member is not None
        found |= dict(zip(part.rows.tolist(), part.member.tolist(), strict=True))
    assert second.met == [0, 20, 30, 40, 50]
    assert (found[1], found[2]) == (0, 1)
