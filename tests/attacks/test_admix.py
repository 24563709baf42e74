"""Admix: mixtures with images of other classes, drawn for each sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import ATTACKS, PRESETS, Crafted, Samples, Setting
from harness.attacks.admix import Admix, classes_in, draw_partners
from harness.attacks.fgsm import family
from harness.attacks.gradient_transforms import Momentum
from harness.attacks.input_transforms import DiverseInput, View
from harness.attacks.loop import GradientAttack
from harness.core.errors import HarnessError
from harness.core.randomness import Draws
from harness.core.threat import ThreatModel

Craft = Callable[..., Crafted]

LINF = ThreatModel("linf", 8 / 255)


def toy(classes: list[int], indices: list[int]) -> Samples:
    """Constant images (N, 1, 2, 2), each of its own brightness: row / N."""
    brightness = torch.arange(len(classes)) / len(classes)
    return Samples(brightness.view(-1, 1, 1, 1).expand(-1, 1, 2, 2), torch.tensor(classes), torch.tensor(indices))


POOL = toy([2, 0, 1, 0, 2, 2], [50, 10, 40, 30, 20, 60])


def draws(indices: Tensor, step: int = 0, seed: int = 0) -> Draws:
    return Draws(seed, indices, torch.full_like(indices, step))


def test_the_class_of_a_sample_is_looked_up_by_its_position_in_the_data_set() -> None:
    assert classes_in(POOL, torch.tensor([10, 60, 40, 50, 99, 0])).tolist() == [0, 2, 1, 2, -1, -1]


def test_partners_are_drawn_uniformly_among_the_images_of_other_classes() -> None:
    chance = (torch.arange(600) / 600).expand(3, 600)
    partners = draw_partners(POOL, torch.tensor([0, 2, 1]), chance)
    others = [[0, 2, 4, 5], [1, 2, 3], [0, 1, 3, 4, 5]]
    for row, expected in zip(partners, others, strict=True):
        counts = row.bincount(minlength=6)
        assert counts[expected].tolist() == [600 // len(expected)] * len(expected)
        assert counts.sum() == 600


def test_a_sample_that_the_pool_lacks_may_meet_every_image_and_so_may_all_where_there_is_one_class() -> None:
    chance = (torch.arange(6) / 6)[None]
    assert sorted(draw_partners(POOL, torch.tensor([-1]), chance)[0].tolist()) == [0, 1, 2, 3, 4, 5]
    alike = toy([3] * 6, list(range(6)))
    assert sorted(draw_partners(alike, torch.tensor([3]), chance)[0].tolist()) == [0, 1, 2, 3, 4, 5]


def test_views_are_the_image_plus_a_share_of_a_partner_divided_by_powers_of_two() -> None:
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    views = Admix(portion=0.3, mixtures=2, scales=3)(View(None, images), draws(POOL.indices), POOL)
    assert len(views) == Admix(mixtures=2, scales=3).copies == 6
    assert len({view.name for view in views}) == 6
    for number, view in enumerate(views):
        partner = (view.images * 2 ** (number % 3) - images) / 0.3
        assert (partner - partner[:, :, :1, :1]).abs().max() < 1e-5, "partners are constant images"
        rows = (partner[:, 0, 0, 0] * 6).round().long()
        torch.testing.assert_close(partner, POOL.images[rows], rtol=0, atol=1e-5)
        assert (POOL.classes[rows] != POOL.classes).all()
        torch.testing.assert_close(view.images, views[number - number % 3].images / 2 ** (number % 3))


def test_partners_are_drawn_anew_for_every_sample_step_and_mixture_and_not_from_the_batch() -> None:
    many = toy([0, 1] * 200, list(range(400)))
    images = torch.zeros(20, 1, 2, 2)

    def partners(indices: Tensor, step: int = 0, seed: int = 0) -> Tensor:
        views = Admix(1.0, 3, 1)(View(None, images[: len(indices)]), draws(indices, step, seed), many)
        return torch.stack([view.images[:, 0, 0, 0] for view in views])

    usual = partners(torch.arange(20))
    assert len(usual.flatten().unique()) > 50, "60 of 400 images, few of them twice"
    assert (partners(torch.arange(20), step=1) != usual).double().mean() > 0.9
    assert (partners(torch.arange(20), seed=1) != usual).double().mean() > 0.9
    some = torch.tensor([7, 3, 11])
    assert torch.equal(partners(some), usual[:, some])


def test_bytes_are_mixed_in_as_shares_of_255() -> None:
    pool = Samples(torch.full((2, 1, 2, 2), 51, dtype=torch.uint8), torch.tensor([0, 1]), torch.tensor([0, 1]))
    (view,) = Admix(0.5, 1, 1)(View(None, torch.full((2, 1, 2, 2), 0.5)), draws(torch.arange(2)), pool)
    torch.testing.assert_close(view.images, torch.full((2, 1, 2, 2), 0.5 + 0.5 * 0.2))


def test_gradients_are_averaged_over_mixtures_and_their_scaled_copies(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    attack = ATTACKS.get("mi-admix-fgsm")(steps=1, step_size="eps", portion=0.4, mixtures=2, scales=3)
    ours = craft(attack, network, samples, Setting(LINF, pool=samples)).adversarial
    own = samples.classes
    partners = draw_partners(samples, own, samples.draws(0).uniform("admix", 2))
    points = samples.images.clone().requires_grad_()
    losses = [
        nn.functional.cross_entropy(network((points + 0.4 * samples.images[rows]) / scale), own, reduction="sum")
        for rows in partners.unbind(1)
        for scale in (1, 2, 4)
    ]
    (gradient,) = torch.autograd.grad(torch.stack(losses).sum(), points)
    expected = (samples.images + LINF.epsilon * gradient.sign()).clamp(0, 1)
    assert ((ours - expected).abs() > 1e-6).double().mean() < 1e-3


@pytest.mark.parametrize("stop_when_fooled", [False, True])
def test_batch_size_and_order_and_company_change_nothing(
    stop_when_fooled: bool, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    attack = GradientAttack(4, "eps/steps", inputs=(Admix(0.2, 2, 2), DiverseInput(largest=1.3, restore=False)))

    def run(some: Samples, batch_size: int, pool: Samples) -> Crafted:
        return craft(attack, network, some, Setting(LINF, 3, batch_size, stop_when_fooled, pool=pool))

    together = run(samples, 64, samples)
    order = torch.tensor([6, 1, 4, 0, 7, 2, 5, 3])
    for rows, batch_size in ((torch.arange(8), 1), (torch.arange(8), 3), (order, 3), (order[:5], 2)):
        result = run(samples.take(rows), batch_size, samples)
        torch.testing.assert_close(result.adversarial, together.adversarial[rows], rtol=0, atol=1e-6)
        assert torch.equal(result.passes, together.passes[rows])


def test_a_targeted_sample_still_meets_images_of_other_classes_than_its_own(
    network: nn.Module, samples: Samples
) -> None:
    # Its `classes` are the wanted ones; the pool knows the true ones.
    seen: list[Tensor] = []

    def noting(images: Tensor) -> Tensor:
        seen.append(images.detach())
        logits: Tensor = network(images)
        return logits

    asked = Samples(samples.images, (samples.classes + 1) % 5, samples.indices)
    attack = GradientAttack(1, "eps", inputs=(Admix(1.0, 4, 1),))
    list(attack.craft(noting, asked, Setting(ThreatModel("linf", 0.1, "next"), pool=samples)))
    for images in seen:
        gap = (images - samples.images)[:, None] - samples.images[None]
        partners = gap.flatten(2).norm(dim=2).argmin(1)
        assert (samples.classes[partners] != samples.classes).all()


def test_without_other_images_it_says_what_is_missing(network: nn.Module, samples: Samples, craft: Craft) -> None:
    with pytest.raises(HarnessError, match="admix mixes in other images: give Setting a pool"):
        craft(ATTACKS.get("mi-admix-fgsm")(), network, samples, Setting(LINF))


def test_the_price_is_a_pass_for_each_copy_of_each_mixture(network: nn.Module, samples: Samples, craft: Craft) -> None:
    attack = ATTACKS.get("mi-admix-fgsm")(steps=2, mixtures=2, scales=3)
    assert attack.cost(Setting(LINF)) == 12
    assert craft(attack, network, samples, Setting(LINF, pool=samples)).passes.tolist() == [12] * 8
    assert ATTACKS.get("mi-admix-fgsm")().cost(Setting(LINF)) == 150


def test_it_stands_in_for_scaled_copies_and_has_the_papers_numbers() -> None:
    mixed = {name for name, letters in family().items() if "admix" in letters}
    rest = ["", "-di", "-ti", "-di-ti"]
    assert mixed == {f"{momentum}{parts}-admix-fgsm" for momentum in ("mi", "ni") for parts in rest}
    attack = ATTACKS.get("mi-di-admix-fgsm")()
    assert isinstance(attack, GradientAttack)
    assert attack.inputs == (Admix(), DiverseInput()), "mixed and copied first, each of them diversified"
    assert attack.gradients == (Momentum(),)
    expected = {"steps": 10, "step_size": "eps/steps", "decay": 1.0, "portion": 0.2, "mixtures": 3, "scales": 5}
    assert PRESETS["mi-admix-fgsm"] == {"paper": expected, "transferattack": expected}, "torchattacks has no admix"
