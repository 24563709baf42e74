"""The 1,000 classes of ImageNet ILSVRC, numbered as networks number them: by their sorted WordNet ids (WNIDs).

timm's table is used, so that a folder with some of the classes is numbered like one with all.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from harness.core.libraries import library


@cache
def class_numbers() -> dict[str, int]:
    """WNIDs, such as "n01440764", to class numbers, from 0."""
    return {wnid: number for number, wnid in enumerate(_table().label_names())}


@cache
def class_names() -> tuple[str, ...]:
    """One name per class: the words of its WordNet entry, such as "tench, Tinca tinca"."""
    return tuple(_table().label_descriptions())


@cache
def _table() -> Any:
    # timm takes seconds to import, which no other data set should pay.
    return library("timm.data").ImageNetInfo("imagenet-1k")
