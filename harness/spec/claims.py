"""`[[claims]]`: what is said about the results, judged image by image from the records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from harness.spec.parts import Strict
from harness.spec.tables import Denominator, Names

ClaimValue = Literal["robust_accuracy", "attack_success_rate", "robust_error", "clean_accuracy"]
"""Rates, which are paired by image."""

Side = Annotated[dict[str, Any], Field(min_length=1)]
"""Filters that choose the cells of a side."""


class ClaimSpec(Strict):
    """`[[claims]]`: the cells of one side have a greater value than those of the other."""

    name: str
    """How the claim is called, such as "B11"; unique."""
    text: str | None = None
    """What it says, in words."""
    value: ClaimValue = "robust_accuracy"
    """What is compared."""
    denominator: Denominator | None = None
    """Which images count; default all for accuracies, own-correct for success rates."""
    mode: Literal["whitebox", "transfer"] | None = None
    """Which cells; default the suite's only section, else white-box for accuracies and transfer for success rates."""
    greater: Side
    """Which cells have the greater value, such as { "facts.bn" = "N" }."""
    than: Side
    """Which cells have the smaller value, such as { "facts.bn" = "Y" }."""
    where: dict[str, Any] = {}
    """Filters for both sides."""
    match: Names = []
    """Facets on which the cells of a pair agree, such as ["attack", "target"]; the data set is always one."""
    average: Names = []
    """Facets over which each side takes the mean per image; a model's facet includes its norm."""
