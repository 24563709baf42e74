"""`[[tables]]`: which tables a report prints, as pivots of the suite's cells."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from harness.core.validation import Strict
from harness.spec.names import FileName, as_list, distinct

Value = Literal[
    "robust_accuracy", "attack_success_rate", "robust_error", "clean_accuracy", "clean_error", "mean_l2", "mean_linf",
    "mean_passes",
]  # fmt: skip
Best = Literal["greatest", "smallest"]
Denominator = Literal["all", "own-correct", "surrogate-correct", "common-correct"]

Names = Annotated[list[str], BeforeValidator(as_list), AfterValidator(distinct)]
"""Facets, any number of them; a single one may stand for a list."""

Axis = Annotated[list[str], BeforeValidator(as_list), Field(validate_default=True)]
"""Facets, at least one; a single one may stand for a list."""


class TableSpec(Strict):
    """`[[tables]]`: a pivot of the cells, or a printed table of a paper with their values in it."""

    name: FileName | None = None
    """File name of the table, as that of a suite; default table-1, table-2, ..., or the reference with a hyphen."""
    title: str | None = None
    """Heading and caption."""
    reference: str | None = None
    """The printed table whose rows, columns and values it has, such as "benz2021/4"."""
    part: dict[str, str] = {}
    """Of a printed table: keys that its numbers have, such as { dataset = "cifar10" }; the other rows are left out."""
    rows: Axis = []
    """What makes a row: model, target, surrogate, relation, attack, threat, epsilon, norm, dataset, seed, mode,
    facts.KEY, attack.facts.KEY."""
    columns: Axis = []
    """What makes a column; last entries "mean", "mean.black-box", "mean.white-box", "mean.same-architecture",
    "mean.other-architecture", "spread" and "agreement" add columns that sum up the row."""
    value: Value = "robust_accuracy"
    """What a cell shows."""
    denominator: Denominator | None = None
    """Which samples a rate counts; default all for accuracies, own-correct for success rates."""
    mode: Literal["whitebox", "transfer"] | None = None
    """Which cells; default the suite's only section, else white-box for accuracies and transfer for success rates."""
    where: dict[str, Any] = {}
    """Further filters, such as { attack = ["PGD", "CW"], "facts.bn" = "Y" }."""
    average: Names = []
    """Facets over which an entry takes the mean, such as ["attack", "target"]; a model's facet includes its norm."""
    clean: bool | None = None
    """Whether clean accuracy is a column (or row) beside the attacks; default yes for white-box robust accuracy."""
    headers: dict[str, str] = {}
    """How row and column headers are printed, such as { "facts.bn" = "BN" }."""
    best: Best | None = None
    """Which entry of a group is bold, with those that are not significantly worse; default none."""
    among: Names = []
    """What the entries of a group differ in, such as ["facts.bn"]: facets of rows or columns; default the last of
    rows."""

    @field_validator("rows", "columns", "value", "average", "clean", "headers", "best", "among")
    @classmethod
    def _not_the_papers(cls, value: Any, info: ValidationInfo) -> Any:
        """A printed table brings rows, columns and values; every other table needs rows and columns."""
        axis = info.field_name in ("rows", "columns")
        if info.data.get("reference") is None:
            if axis and not value:
                raise PydanticCustomError("missing", "this key is required")
        elif value or not axis:
            raise ValueError("a table with `reference` has the rows, columns and values of the paper; leave it out")
        return value

    @field_validator("among")
    @classmethod
    def _of_the_best(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if value and info.data.get("best", "unread") is None:
            raise ValueError('it says among which entries the best is marked; add best = "greatest" or "smallest"')
        return value

    @field_validator("part")
    @classmethod
    def _of_a_printed_table(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if info.data.get("reference") is None:
            raise ValueError("only a table with `reference` has parts")
        return value
