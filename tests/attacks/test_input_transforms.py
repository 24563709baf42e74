"""DI and SI, each against its paper's formula, and how the parts of transfer attacks go together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from harness.attacks import ATTACKS, PRESETS, Crafted, Samples, Setting
from harness.attacks.gradient_transforms import Momentum, NesterovMomentum, Smooth
from harness.attacks.input_transforms import DiverseInput, ScaleCopies, View, place_on_canvas, resize_matrix
from harness.attacks.loop import GradientAttack
from harness.attacks.resolve import preset_arguments
from harness.core.errors import HarnessError
from harness.core.randomness import Draws
from harness.core.registry import parameters_of
from harness.core.threat import ThreatModel

Craft = Callable[..., Crafted]


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def draws(count: int, step: int = 0, seed: int = 0) -> Draws:
    return Draws(seed, torch.arange(count), torch.full((count,), step))


# --- DI --------------------------------------------------------------------------------------------------------


def resized_and_padded(image: Tensor, size: int, top: int, left: int, canvas: int, mode: str, fill: float) -> Tensor:
    """What the field's implementations do to one image (C, H, W)."""
    corners = None if mode == "nearest" else False
    resized = F.interpolate(image[None], size=(size, size), mode=mode, align_corners=corners)
    return F.pad(resized, (left, canvas - size - left, top, canvas - size - top), value=fill)[0]


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill", [0.0, 0.5])
def test_each_image_is_resized_and_padded_as_interpolate_and_pad_do(mode: str, fill: float) -> None:
    images, canvas = uniform(0, 6, 3, 32, 32), 40
    size = torch.tensor([32, 33, 40, 28, 17, 36])
    top = torch.tensor([0, 7, 0, 12, 22, 1])
    left = torch.tensor([8, 0, 0, 5, 23, 3])
    rows, columns = (resize_matrix(32, size, offset, canvas, mode) for offset in (top, left))
    placed = place_on_canvas(images, rows, columns, fill)
    expected = [
        resized_and_padded(image, side, down, right, canvas, mode, fill)
        for image, side, down, right in zip(images, size.tolist(), top.tolist(), left.tolist(), strict=True)
    ]
    torch.testing.assert_close(placed, torch.stack(expected), rtol=0, atol=1e-5)


def test_every_size_of_the_authors_preset_is_resized_as_interpolate_does() -> None:
    row = uniform(0, 1, 1, 1, 299)
    sizes = torch.arange(299, 330)
    matrices = resize_matrix(299, sizes, torch.zeros_like(sizes), 330, "nearest")
    for size, matrix in zip(sizes.tolist(), matrices, strict=True):
        expected = F.interpolate(row, size=(1, size), mode="nearest")
        torch.testing.assert_close((matrix @ row.view(299))[:size], expected.view(size))


def test_gradients_flow_back_through_the_placement() -> None:
    images = uniform(0, 1, 1, 8, 8).requires_grad_()
    matrix = resize_matrix(8, torch.tensor([11]), torch.tensor([2]), 14, "bilinear")
    (ours,) = torch.autograd.grad(place_on_canvas(images, matrix, matrix, 0.5).square().sum(), images)
    reference = images.detach()[0].requires_grad_()
    (theirs,) = torch.autograd.grad(
        resized_and_padded(reference, 11, 2, 2, 14, "bilinear", 0.5).square().sum(), reference
    )
    torch.testing.assert_close(ours[0], theirs)


class Placed(NamedTuple):
    """Where a white image has come to lie on its black canvas, (N,) each."""

    heights: Tensor
    widths: Tensor
    top: Tensor
    left: Tensor


def find_white(view: View) -> Placed:
    rows, columns = (view.images[:, 0].amax(axis) > 0 for axis in (2, 1))
    return Placed(rows.sum(1), columns.sum(1), rows.int().argmax(1), columns.int().argmax(1))


RANGES = [
    ("torchattacks", 32, range(28, 32), 32),
    ("torchattacks", 224, range(201, 224), 224),
    ("transferattack", 32, range(32, 35), 35),
    ("transferattack", 224, range(224, 246), 246),
    ("paper", 32, range(32, 35), 35),
    ("paper", 299, range(299, 330), 330),
]


def drawn_by(preset: str, length: int, count: int) -> tuple[int, set[tuple[int, int]]]:
    """The side of the canvas, and the (size, offset) that a preset draws for `count` rows of `length` pixels."""
    arguments = preset_arguments("di-fgsm", preset)
    keys = ("smallest", "largest", "interpolation")
    part = DiverseInput(probability=1.0, restore=False, **{key: arguments[key] for key in keys})
    (view,) = part(View(None, torch.ones(count, 1, 1, length)), draws(count))
    white = find_white(view)
    return view.images.shape[-1], set(zip(white.widths.tolist(), white.left.tolist(), strict=True))


@pytest.mark.parametrize(("preset", "length", "sizes", "canvas"), RANGES)
def test_presets_draw_the_documented_sizes_and_offsets_and_no_others(
    preset: str, length: int, sizes: range, canvas: int
) -> None:
    possible = {(size, left) for size in sizes for left in range(max(canvas - size, 1))}
    side, drawn = drawn_by(preset, length, count=1000 if length == 32 else 100)
    assert side == canvas
    assert drawn == possible if length == 32 else drawn < possible


@pytest.mark.parametrize(("preset", "length", "sizes", "canvas"), RANGES)
def test_presets_know_their_sizes(preset: str, length: int, sizes: range, canvas: int) -> None:
    arguments = preset_arguments("di-fgsm", preset)
    assert DiverseInput(smallest=arguments["smallest"], largest=arguments["largest"]).sizes(length) == sizes


def test_squares_stay_squares_and_go_everywhere() -> None:
    part = DiverseInput(probability=1.0, smallest=0.9, largest=1.0)
    (view,) = part(View(None, torch.ones(1500, 1, 32, 32)), draws(1500))
    white = find_white(view)
    assert torch.equal(white.heights, white.widths)
    smallest = white.widths == 28
    corners = set(zip(white.top[smallest].tolist(), white.left[smallest].tolist(), strict=True))
    assert corners == {(top, left) for top in range(4) for left in range(4)}


def test_sizes_are_drawn_evenly() -> None:
    part = DiverseInput(probability=1.0, smallest=0.5, largest=1.0)
    (view,) = part(View(None, torch.ones(4000, 1, 16, 16)), draws(4000))
    counts = np.bincount(find_white(view).widths.numpy(), minlength=16)[8:16]
    assert stats.chisquare(counts).pvalue > 0.01


def test_the_share_of_transformed_images_is_the_probability() -> None:
    part = DiverseInput(probability=0.3, smallest=0.5, largest=1.0)
    (view,) = part(View(None, torch.ones(4000, 1, 8, 8)), draws(4000))
    changed = (view.images.flatten(1).amin(1) == 0).sum().item()
    assert stats.binomtest(int(changed), 4000, 0.3).pvalue > 0.01


@pytest.mark.parametrize(("probability", "changed"), [(0.0, False), (1.0, True)])
def test_probabilities_of_zero_and_one_are_never_and_always(probability: float, changed: bool) -> None:
    images = uniform(0, 50, 1, 16, 16)
    (view,) = DiverseInput(probability, smallest=0.5, largest=0.9)(View(None, images), draws(50))
    assert (view.images != images).flatten(1).any(1).tolist() == [changed] * 50


def test_the_authors_model_sees_330_pixels_for_transformed_images_and_299_for_the_others() -> None:
    arguments = preset_arguments("di-fgsm", "paper")
    part = DiverseInput(**{key: arguments[key] for key in parameters_of(DiverseInput)})
    images = uniform(0, 12, 1, 299, 299)
    views = part(View(None, images), draws(12))
    assert sorted(view.images.shape[-1] for view in views) == [299, 330]
    seen = [row for view in views if view.rows is not None for row in view.rows.tolist()]
    assert sorted(seen) == list(range(12))
    for view in views:
        assert view.rows is not None
        if view.images.shape[-1] == 299:
            assert torch.equal(view.images, images[view.rows])
        else:
            assert (view.images[:, :, -1, -1] == 0.5).all(), "padding is mid-grey, and never empty at the far corner"


def test_a_restored_canvas_is_resized_back_to_the_images_own_size() -> None:
    images = uniform(0, 5, 3, 32, 32)
    kept = DiverseInput(probability=1.0, largest=1.3, restore=False)
    restored = DiverseInput(probability=1.0, largest=1.3, restore=True)
    (canvas,) = kept(View(None, images), draws(5))
    (view,) = restored(View(None, images), draws(5))
    expected = F.interpolate(canvas.images, size=(32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(view.images, expected)


def test_every_sample_and_every_step_draws_anew() -> None:
    part = DiverseInput(probability=1.0, smallest=0.5, largest=1.0)
    images = uniform(0, 1, 1, 32, 32).expand(8, 1, 32, 32)
    (first,), (second,) = (part(View(None, images), draws(8, step)) for step in (0, 1))
    everything = torch.cat([first.images, second.images]).flatten(1)
    assert len({tuple(image) for image in everything.tolist()}) == 16


def test_images_that_are_not_square_keep_their_sides() -> None:
    images = torch.ones(200, 1, 16, 32)
    (view,) = DiverseInput(probability=1.0, smallest=0.5, largest=1.5, restore=False)(View(None, images), draws(200))
    assert view.images.shape == (200, 1, 24, 48)
    white = find_white(view)
    assert set(white.heights.tolist()) == set(range(8, 24))
    assert ((white.widths - 2 * white.heights).abs() <= 2).all(), "both sides shrink and grow together"


@pytest.mark.parametrize(("length", "smallest", "largest"), [(8, 1.0, 1.1), (16, 1.0, 1.05), (32, 1.0, 1.0)])
def test_sizes_that_leave_small_images_as_they_are_are_refused(length: int, smallest: float, largest: float) -> None:
    part = DiverseInput(smallest=smallest, largest=largest)
    with pytest.raises(HarnessError, match=f"images of {length} pixels as they are.*\n.*largest.*smallest") as refusal:
        part(View(None, torch.zeros(1, 1, length, length)), draws(1))
    advice = float(str(refusal.value).split("raise largest to ")[1].split()[0])
    images = uniform(0, 1, 1, length, length)
    (view,) = DiverseInput(1.0, smallest, advice)(View(None, images), draws(1))
    assert not torch.equal(view.images, images)


def test_a_smallest_size_above_the_largest_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"smallest: 1\.2 is more than largest, 1\.1"):
        DiverseInput(smallest=1.2, largest=1.1)


def test_sizes_below_one_pixel_become_one_pixel() -> None:
    assert DiverseInput(smallest=0.01, largest=0.05).sizes(8) == range(1, 2)


# --- SI --------------------------------------------------------------------------------------------------------


def test_scaled_copies_are_the_image_over_powers_of_two() -> None:
    images = uniform(0, 2, 3, 4, 4)
    copies = ScaleCopies(4)(View(None, images), draws(2))
    for copy, divisor in zip(copies, (1, 2, 4, 8), strict=True):
        assert torch.equal(copy.images, images / divisor)
    assert len({copy.name for copy in copies}) == 4, "each copy draws its own random numbers"


def test_the_step_follows_the_gradient_averaged_over_the_copies(craft: Craft) -> None:
    # The margin is 0.9 x - x^2. The mean of its derivative by x over the copies x, x/2, x/4 is
    # 0.9 (1 + 1/2 + 1/4) / 3 - 2 x (1 + 1/4 + 1/16) / 3, which changes its sign at x = 0.6 instead of 0.45.
    class Quadratic(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            score = (0.9 * images - images**2).flatten(1).sum(1)
            return torch.stack([torch.zeros_like(score), score], dim=1)

    pixels = torch.tensor([0.44, 0.46, 0.59, 0.61]).view(1, 1, 2, 2)
    samples = Samples(pixels, torch.tensor([0]), torch.tensor([0]))
    setting = Setting(ThreatModel("linf", 0.01))
    plain = craft(ATTACKS.get("fgsm")(loss="margin"), Quadratic(), samples, setting).adversarial
    scaled = craft(ATTACKS.get("si-fgsm")(steps=1, copies=3, loss="margin"), Quadratic(), samples, setting).adversarial
    assert (plain - pixels).sign().flatten().tolist() == [1, -1, -1, -1]
    assert (scaled - pixels).sign().flatten().tolist() == [1, 1, 1, -1]


# --- composition and presets -----------------------------------------------------------------------------------


def test_parts_are_applied_in_the_order_of_the_papers() -> None:
    attack, nesterov = ATTACKS.get("mi-di-ti-si-fgsm")(), ATTACKS.get("ni-fgsm")()
    assert isinstance(attack, GradientAttack)
    assert isinstance(nesterov, GradientAttack)
    assert attack.inputs == (ScaleCopies(), DiverseInput()), "copies first, each of them diversified"
    assert attack.gradients == (Smooth(), Momentum()), "smoothed, then normalized and accumulated"
    assert nesterov.gradients == (NesterovMomentum(),)
    assert ATTACKS.get("i-fgsm")() == ATTACKS.get("bim")()


def test_every_copy_of_an_image_is_diversified_anew() -> None:
    part, images = DiverseInput(probability=1.0, smallest=0.5, largest=1.0), torch.ones(50, 1, 16, 16)
    first, second = (part(copy, draws(50))[0] for copy in ScaleCopies(2)(View(None, images), draws(50)))
    assert (find_white(first).widths != find_white(second).widths).any()


DIVERSE = {
    "paper": {"smallest": 1.0, "largest": 330 / 299, "interpolation": "nearest", "fill": 0.5, "restore": False},
    "torchattacks": {"smallest": 0.9, "largest": 1.0, "interpolation": "bilinear", "fill": 0.0, "restore": True},
    "transferattack": {"smallest": 1.0, "largest": 1.1, "interpolation": "bilinear", "fill": 0.0, "restore": True},
}


def test_presets_hold_the_numbers_of_their_sources() -> None:
    kernel = {"kernel_size": 15, "kernel": "gaussian", "spread": 3.0}
    for preset, step_size in (("paper", "eps/steps"), ("torchattacks", "2/255"), ("transferattack", "eps/steps")):
        loop = {"steps": 10, "step_size": step_size}
        assert PRESETS["i-fgsm"][preset] == loop
        assert PRESETS["mi-fgsm"][preset] == PRESETS["ni-si-fgsm"][preset] == {**loop, "decay": 1.0}
        assert PRESETS["mi-ti-fgsm"][preset] == {**loop, **kernel, "decay": 1.0}
        if preset == "paper":
            loop = {"steps": 20, "step_size": "1/255"}
        assert PRESETS["di-fgsm"][preset] == {**loop, "probability": 0.5, **DIVERSE[preset]}
