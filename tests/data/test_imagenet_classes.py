"""The classes of ImageNet, numbered."""

from __future__ import annotations

from torchvision.models import ResNet50_Weights

from harness.data.imagenet_classes import class_names, class_numbers


def test_classes_are_numbered_by_their_sorted_wnids() -> None:
    numbers = class_numbers()
    assert list(numbers) == sorted(numbers)
    assert list(numbers.values()) == list(range(1000))


def test_wnids_have_the_numbers_that_the_literature_gives_them() -> None:
    numbers = class_numbers()
    known = {"n01440764": 0, "n02099601": 207, "n02123045": 281, "n03445777": 574, "n15075141": 999}
    assert {wnid: numbers[wnid] for wnid in known} == known


def test_names_are_in_the_order_of_the_categories_that_torchvisions_weights_tell() -> None:
    theirs = ResNet50_Weights.IMAGENET1K_V2.meta["categories"]
    agreeing = [category.lower() in name.lower() for category, name in zip(theirs, class_names(), strict=True)]
    # A few, such as "crane bird", are worded differently.
    assert sum(agreeing) > 980
