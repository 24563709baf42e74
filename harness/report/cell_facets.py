"""What the facets of a table say about a suite's cells: texts to print, values to match, and their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.cells import AttackEntry, Cell, Cells, ModelEntry
from harness.core.numbers import as_fraction, parse_number
from harness.core.threat import NORM_SYMBOLS
from harness.report.facets import ATTACK_FACTS, FACTS, Mode, about_attacks
from harness.report.relation import RELATIONS, other_words, relation

RANDOM_MARK = "†"
"""Behind the label of a model with random weights."""

MODES = {"clean": "Clean", "whitebox": "White-box", "transfer": "Transfer"}
NORM_FAMILIES = {"none": "None", "bn": "BN", "gn": "GN", "ln": "LN", "in": "IN", "rn": "RN"}

OF_CELLS: dict[str, Callable[[Cell], str]] = {
    "attack": lambda cell: cell.attack,
    "threat": lambda cell: cell.threat,
    "epsilon": lambda cell: as_fraction(cell.epsilon) if cell.epsilon else "",
    "norm": lambda cell: NORM_SYMBOLS.get(cell.norm, cell.norm),
    "dataset": lambda cell: cell.dataset,
    "seed": lambda cell: str(cell.seed),
    "mode": lambda cell: MODES[cell.mode],
}
"""Facets that a cell carries itself; the others are its models' and its attack's."""


@dataclass(frozen=True)
class CellFacets:
    """The facets of one table's cells."""

    cells: Cells
    """The suite's cells."""
    mode: Mode | None
    """Which cells the table shows; None for both."""
    models: dict[str, ModelEntry] = field(init=False)
    """The models by suite name."""
    attacks: dict[str, AttackEntry] = field(init=False)
    """The attacks by label."""

    def __post_init__(self) -> None:
        """Index the models and attacks."""
        object.__setattr__(self, "models", {entry.name: entry for entry in self.cells.models})
        object.__setattr__(self, "attacks", {entry.label: entry for entry in self.cells.attacks})

    def of_attacks(self, facet: str) -> bool:
        """Whether a facet describes the attack and not the judged model or the data."""
        return about_attacks(facet, self.mode)

    def text(self, facet: str, cell: Cell) -> str:
        """How tables print a facet of a cell; empty when it has none."""
        if facet in OF_CELLS:
            return OF_CELLS[facet](cell)
        if facet == "relation":
            clean = cell.mode == "clean"
            return "" if clean else relation(self.models[cell.surrogate], self.models[cell.target])
        if facet.startswith(ATTACK_FACTS):
            return _text_of_fact(self._attack_facts(cell), facet.removeprefix(ATTACK_FACTS))
        return _text_of_model(facet, self._model(facet, cell))

    def matches(self, facet: str, cell: Cell, wanted: Any) -> bool:
        """Whether a facet of a cell is a value that a suite asks for: as printed, as a number, or a model's name."""
        if facet == "epsilon":
            return _is_number(wanted) and math.isclose(cell.epsilon, parse_number(wanted), rel_tol=1e-6)
        return str(wanted) in {self.text(facet, cell), *self._other_words(facet, cell)}

    def other_model(self, facet: str, wanted: Any) -> str:
        """The name of a model that has as its label what is another's name alone; empty where none has."""
        named = self.models.get(str(wanted)) if facet in ("model", "surrogate", "target") else None
        if named is None or named.label == named.name:
            return ""
        return next((entry.name for entry in self.models.values() if entry.label == named.name), "")

    def order(self, facet: str) -> dict[str, int]:
        """The rank of every text: order of the models, attacks and data sets in the file, else of the cells."""
        if facet == "dataset":
            texts = [entry.label for entry in self.cells.datasets]
        elif facet in OF_CELLS:
            texts = [self.text(facet, cell) for cell in self.cells.cells]
        elif facet == "relation":
            texts = list(RELATIONS)
        elif facet.startswith(ATTACK_FACTS):
            texts = [_text_of_fact(entry.facts, facet.removeprefix(ATTACK_FACTS)) for entry in self.cells.attacks]
        else:
            texts = [_text_of_model(facet, entry) for entry in self.cells.models]
        return {text: rank for rank, text in enumerate(dict.fromkeys(["", *texts]))}

    def _model(self, facet: str, cell: Cell) -> ModelEntry:
        crafts = facet.startswith("surrogate") or (facet.startswith(FACTS) and cell.mode == "transfer")
        return self.models[cell.surrogate if crafts else cell.target]

    def _attack_facts(self, cell: Cell) -> Mapping[str, Any]:
        entry = self.attacks.get(cell.attack) if cell.mode != "clean" else None
        return entry.facts if entry else {}

    def _other_words(self, facet: str, cell: Cell) -> set[str]:
        if facet == "threat":
            return {entry.name for entry in self.cells.threats if entry.label == cell.threat}
        if facet in OF_CELLS:
            return {cell.norm} if facet == "norm" else {cell.mode} if facet == "mode" else set()
        if facet == "relation":
            return other_words(self.text(facet, cell))
        if facet.startswith(ATTACK_FACTS):
            return {str(self._attack_facts(cell).get(facet.removeprefix(ATTACK_FACTS), ""))}
        model = self._model(facet, cell)
        if facet.startswith(FACTS):
            return {str(model.facts.get(facet.removeprefix(FACTS), ""))}
        return {model.description.norm} if facet.endswith(".norm") else {model.name, model.label}


def model_label(model: ModelEntry) -> str:
    """How tables print a model: random weights are marked."""
    return model.label + (RANDOM_MARK if model.description.random_weights else "")


def norm_name(family: str) -> str:
    """How tables print a family of normalization; kinds that have no abbreviation by their names."""
    return NORM_FAMILIES.get(family, family)


def _text_of_model(facet: str, model: ModelEntry) -> str:
    if facet.startswith(FACTS):
        return _text_of_fact(model.facts, facet.removeprefix(FACTS))
    if facet.endswith(".norm"):
        return norm_name(model.description.norm)
    return model_label(model)


def _text_of_fact(facts: Mapping[str, Any], key: str) -> str:
    fact = facts.get(key, "")
    return ("yes" if fact else "no") if isinstance(fact, bool) else str(fact)


def _is_number(value: Any) -> bool:
    try:
        parse_number(value)
    except ValueError:
        return False
    return True
