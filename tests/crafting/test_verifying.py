"""The attack proposes, the harness checks: the threat model, and one answer per sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.attacks import Attack, Crafted, Model, Samples, Setting
from harness.attacks.resolve import ResolvedAttack
from harness.core.errors import HarnessError, ThreatModelViolation
from harness.core.threat import ThreatModel
from harness.crafting import CraftJob
from harness.surrogate import Surrogate

from .toys import (
    CLASSES,
    COUNT,
    L2,
    LINF,
    NOTHING,
    Proposing,
    arena,
    grey_arena,
    model,
    one_pixel,
    proposing,
    run,
    transfer,
)


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
