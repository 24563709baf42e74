"""`[[claims]]`: what is said about the results, judged image by image from the records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from harness.core.validation import Strict
from harness.spec.tables import Denominator, Names

ClaimValue = Literal["robust_accuracy", "attack_success_rate", "robust_error", "clean_accuracy", "clean_error"]
"""Rates, which are paired by image."""

Side = Annotated[dict[str, Any], Field(validate_default=True)]
"""Filters that choose the cells of a side, at least one."""


class ClaimSpec(Strict):
    """`[[claims]]`: the cells of one side have a greater value than those of the other; or a claim of a paper."""

    paper: str | None = None
    """The claim of a paper by its id, such as "B11", which brings text, value, sides and match."""
    name: str
    """How the claim is called, such as "no-bn-is-robust"; unique; default the id of the paper's claim."""
    text: str | None = None
    """What it says, in words."""
    value: ClaimValue = "robust_accuracy"
    """What is compared."""
    denominator: Denominator | None = None
    """Which images count; default all for accuracies, own-correct for success rates."""
    mode: Literal["whitebox", "transfer"] | None = None
    """Which cells; default the suite's only section, else white-box for accuracies and transfer for success rates."""
    greater: Side = {}
    """Which cells have the greater value, such as { "facts.bn" = "N" }."""
    than: Side = {}
    """Which cells have the smaller value, such as { "facts.bn" = "Y" }."""
    where: dict[str, Any] = {}
    """Filters for both sides."""
    match: Names = []
    """Facets on which the cells of a pair agree, such as ["attack", "target"]; the data set is one, unless a side
    names its own."""
    average: Names = []
    """Facets over which each side takes the mean per image; a model's facet includes its norm."""

    @model_validator(mode="before")
    @classmethod
    def _called_as_in_the_paper(cls, data: Any) -> Any:
        named = isinstance(data, dict) and isinstance(data.get("paper"), str)
        return {"name": data["paper"], **data} if named else data

    @field_validator("greater", "than", "value", "mode", "match", "average")
    @classmethod
    def _not_the_papers(cls, value: Any, info: ValidationInfo) -> Any:
        """A claim of a paper brings its value and sides; every other claim needs both sides."""
        side = info.field_name in ("greater", "than")
        if info.data.get("paper") is None:
            if side and not value:
                raise PydanticCustomError("missing", "this key is required")
        elif value or not side:
            raise ValueError("a claim by `paper` has the value, sides and pairs of the paper; leave it out")
        return value
