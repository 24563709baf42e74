"""Facets: the words by which tables sort and filter cells, each with one meaning.

`model` is the judged model of a white-box table; a transfer table says `surrogate` or `target` instead. `facts.KEY` is
a free column of the suite file, of the surrogate in a transfer table and of the model in a white-box one. `norm` is the
norm of the threat model; `model.norm`, `surrogate.norm` and `target.norm` are the detected normalization layers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from harness.core.errors import HarnessError, did_you_mean
from harness.spec import Suite, TableSpec

Mode = Literal["whitebox", "transfer"]

MEAN = "mean"
"""The last column entry that adds the mean of the row."""

HEADERS = {
    "model": "Model", "surrogate": "Surrogate", "target": "Target", "attack": "Attack", "threat": "Threat model",
    "epsilon": "ε", "norm": "Norm", "dataset": "Data", "seed": "Seed", "mode": "Mode",
    "model.norm": "Normalization", "surrogate.norm": "Surrogate norm.", "target.norm": "Target norm.",
}  # fmt: skip
"""How facets are called in tables, unless a suite says otherwise."""

OF_ATTACKS = frozenset({"attack", "threat", "epsilon", "norm", "seed", "mode"})
"""Facets that say nothing about a clean cell: a clean accuracy stands beside all their values."""


def about_attacks(facet: str, mode: Mode | None) -> bool:
    """Whether a facet describes the attack, surrogate included, and not the judged model or the data."""
    return facet in OF_ATTACKS or (mode != "whitebox" and facet.startswith(("surrogate", "facts.")))


def known_facets(mode: Mode | None, facts: Iterable[str]) -> list[str]:
    """Every facet that a table of a mode may use; `facts` are the free columns of the suite's models."""
    only_whitebox = () if mode == "whitebox" else ("model", "model.norm")
    names = [name for name in HEADERS if name not in only_whitebox]
    return names + [f"facts.{key}" for key in dict.fromkeys(facts)]


def mode_of(table: TableSpec, sections: Collection[str]) -> Mode | None:
    """Which cells a table shows; None for both, when the mode itself is a facet.

    Raises:
        HarnessError: when the suite lacks the section.
    """
    if table.mode and sections and table.mode not in sections:
        raise HarnessError(f'mode = "{table.mode}", but the suite has no section [{table.mode}].\n     add the section')
    if table.mode or "mode" in (*table.rows, *table.columns):
        return table.mode
    if len(set(sections)) == 1:
        return "whitebox" if "whitebox" in sections else "transfer"
    return "transfer" if table.value == "attack_success_rate" else "whitebox"


def axes_of(table: TableSpec, mode: Mode | None, facts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The facets that make rows, those that make columns, and whether the mean of the row follows.

    Raises:
        HarnessError: for an unknown or repeated facet, an empty axis, or a mean that is not the last column.
    """
    mean = table.columns[-1:] == [MEAN]
    rows, columns = tuple(table.rows), tuple(table.columns[:-1] if mean else table.columns)
    axes = rows + columns
    if MEAN in axes:
        raise HarnessError('"mean" can only be the last entry of columns')
    if not rows or not columns:
        raise HarnessError('rows and columns each need a facet, such as rows = ["attack"]')
    known = known_facets(mode, facts)
    for facet in (*axes, *table.where):
        _require(facet, known)
        if axes.count(facet) > 1:
            raise HarnessError(f'facet "{facet}" is named twice in rows and columns')
    if table.clean and not any(about_attacks(facet, mode) for facet in axes):
        raise HarnessError('clean = true needs a place for it.\n     add "attack" to rows or columns')
    return rows, columns, mean


def check_table(table: TableSpec, suite: Suite) -> None:
    """Raise HarnessError for what is wrong with a table, as far as the suite file alone can tell."""
    sections = [name for name in ("whitebox", "transfer") if getattr(suite, name) is not None]
    axes_of(table, mode_of(table, sections), (key for model in suite.models for key in model.facts))


def _require(facet: str, known: list[str]) -> None:
    if facet in known:
        return
    if facet in ("model", "model.norm"):
        fixes = (facet.replace("model", "surrogate"), facet.replace("model", "target"))
        raise HarnessError(f'"{facet}" means nothing in a transfer table.\n     write {" or ".join(fixes)}')
    raise HarnessError(f'facet "{facet}" is not known.\n     {did_you_mean(facet, known)}')
