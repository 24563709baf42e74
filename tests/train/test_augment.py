"""Augmentation: every image its own crop and flip, drawn from the generator that is handed in."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from harness.train import autoaugment as policy
from harness.train.augment import random_crop, random_flip
from harness.train.autoaugment import Step, autoaugment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 50, dtype: torch.dtype = torch.uint8) -> Tensor:
    return torch.randint(0, 256, (count, 2, 5, 4), generator=generator(9)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_crop_is_a_window_of_the_reflected_image(dtype: torch.dtype) -> None:
    images = batch(dtype=dtype)
    cropped = random_crop(images, 2, generator())
    assert (cropped.shape, cropped.dtype) == (images.shape, dtype)
    padded = F.pad(images.float(), (2, 2, 2, 2), mode="reflect").to(dtype)
    offsets = set()
    for image, source in zip(cropped, padded, strict=True):
        windows = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(image, source[:, top : top + 5, left : left + 4])
        ]
        assert windows
        offsets.add(windows[0])
    assert len(offsets) > 10


def test_no_padding_is_no_crop() -> None:
    images = batch()
    assert random_crop(images, 0, generator()) is images


def test_about_half_of_the_images_are_mirrored_and_the_others_left_as_they_are() -> None:
    images = batch(400)
    flipped = random_flip(images, generator())
    mirrored = [bool(torch.equal(new, old.flip(2))) for new, old in zip(flipped, images, strict=True)]
    kept = [bool(torch.equal(new, old)) for new, old in zip(flipped, images, strict=True)]
    assert all(one != other for one, other in zip(mirrored, kept, strict=True))
    # Five standard deviations of a fair coin.
    assert abs(sum(mirrored) - 200) <= 5 * 10


@pytest.mark.parametrize("augment", [lambda images, draws: random_crop(images, 2, draws), random_flip])
def test_augmentation_repeats_with_its_generator(augment: object) -> None:
    assert callable(augment)
    images = batch()
    assert torch.equal(augment(images, generator(1)), augment(images, generator(1)))
    assert not torch.equal(augment(images, generator(1)), augment(images, generator(2)))


@pytest.mark.parametrize("size", [32, 20])
def test_autoaugment_gives_every_image_what_torchvision_gives_it_alone(size: int) -> None:
    images = torch.randint(0, 256, (300, 3, size, size), generator=generator(9)).to(torch.uint8)
    # Smooth images as well: on noise, some operations change little.
    images[::2] = images[::2].sort(dim=3).values
    seed = int(torch.randint(2**62, (1,), generator=generator(4)))
    alone = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = [alone(image) for image in images]
    before = images.clone()
    together = autoaugment(images, generator(4))
    assert [number for number, image in enumerate(together) if not torch.equal(image, expected[number])] == []
    assert torch.equal(images, before)


def test_autoaugment_applies_every_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[Step] = []
    original = policy.apply

    def apply(images: Tensor, step: Step) -> Tensor:
        applied.append(step)
        return original(images, step)

    monkeypatch.setattr(policy, "apply", apply)
    autoaugment(torch.zeros(300, 3, 8, 8, dtype=torch.uint8), generator())
    # Of each of the two steps that an image takes.
    assert all(applied.count(step) <= 2 for step in applied)
    assert len({step.operation for step in applied}) > 10
