"""`[[tables]]`: which tables a report prints, as pivots of the suite's cells."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from harness.spec.parts import Selection, Strict, as_list, distinct

Value = Literal["robust_accuracy", "attack_success_rate", "robust_error", "mean_l2", "mean_linf", "mean_passes"]
Denominator = Literal["all", "own-correct", "surrogate-correct", "common-correct"]

Names = Annotated[list[str], BeforeValidator(as_list), AfterValidator(distinct)]
"""Facets, any number of them; a single one may stand for a list."""


class TableSpec(Strict):
    """`[[tables]]`: a pivot of the cells."""

    name: str | None = None
    """File name of the table; default table-1, table-2, ..."""
    title: str | None = None
    """Heading and caption."""
    rows: Selection
    """What makes a row: model, target, surrogate, relation, attack, threat, epsilon, norm, dataset, seed, mode,
    facts.KEY, attack.facts.KEY."""
    columns: Selection
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
