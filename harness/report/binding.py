"""Which of a suite's cells a printed number is of.

A number's keys are compared with what the suite calls its data sets, attacks and models: the words of `paper`, or else
the data set's id, the attack's registered name, the model's architecture and what is detected of its normalization.
A feature set says with `paper` which network its features are of; only numbers on features are those of its cells.
Capitals, hyphens, blanks and underscores do not matter. A key that a printed number lacks is not compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from harness.cells import AttackEntry, Cell, Cells, DatasetEntry, ModelEntry, ThreatEntry
from harness.core.errors import HarnessError
from harness.core.numbers import parse_number
from harness.papers import PrintedTable, PrintedValue, same
from harness.papers.values import AVERAGE, CLEAN, FEATURES
from harness.report.cell_facets import CellFacets
from harness.report.facets import Mode
from harness.report.relation import architecture
from harness.report.selection import Filters, cells_in, check_filters, passes

MEASURED = {
    "accuracy": "clean_accuracy",
    "error": "clean_error",
    "robust_accuracy": "robust_accuracy",
    "robust_error": "robust_error",
    "attack_success_rate": "attack_success_rate",
    "accuracy_gain_percent": "accuracy_gain",
}
"""Metrics of printed numbers, by our names."""

STANDARD = "standard"
"""How a model was trained unless the suite says otherwise."""

Key = tuple[str, str, str, str, str]
"""Mode, data set, attack, surrogate and target of a cell."""


class Binding:
    """A suite's cells, by what printed numbers say."""

    def __init__(self, cells: Cells, facets: CellFacets, where: Filters | None = None, place: str = "") -> None:
        """`where` filters cells of the facets' mode; raises HarnessError, beginning with `place`, for an empty one."""
        self.cells = cells
        check_filters(cells_in(cells.cells, facets.mode), where or {}, facets, f"{place}: where")
        self._index: dict[Key, list[Cell]] = {}
        for cell in cells.cells:
            if cell.mode in ("clean", facets.mode) and passes(where or {}, facets, cell):
                key = (cell.mode, cell.dataset, cell.attack, cell.surrogate, cell.target)
                self._index.setdefault(key, []).append(cell)

    def cells_of(self, value: PrintedValue, table: tuple[PrintedValue, ...] = ()) -> tuple[Cell, ...]:
        """The cells that a printed number is of; those of all its row's for a mean, if all are there."""
        if value.target == AVERAGE:
            row = [self.cells_of(one) for one in table if one.row == value.row and one.target != AVERAGE]
            return tuple(cell for cells in row for cell in cells) if all(row) else ()
        found = {cell.id: cell for key in self._keys(value) for cell in self._index.get(key, ())}
        return tuple(cell for cell in found.values() if self._in_budget(cell, value))

    def _in_budget(self, cell: Cell, value: PrintedValue) -> bool:
        if cell.mode == "clean":
            return True
        if value.norm_p and cell.norm != value.norm_p:
            return False
        said = [entry.paper["epsilon"] for entry in self.cells.threats if _names_budget(entry, cell)]
        ours = [float(epsilon) for epsilon in said] or [cell.epsilon]
        return not value.eps or any(math.isclose(one, parse_number(value.eps), rel_tol=1e-6) for one in ours)

    def _keys(self, value: PrintedValue) -> Iterator[Key]:
        datasets = [entry.label for entry in self.cells.datasets if is_dataset(entry, value)]
        models = [entry.name for entry in self.cells.models if is_model(entry, value.judged)]
        if value.attack in (CLEAN, FEATURES):
            return (("clean", data, "Clean", name, name) for data, name in product(datasets, models))
        attacks = [entry.label for entry in self.cells.attacks if is_attack(entry, value)]
        if not value.target:
            return (("whitebox", data, a, name, name) for data, a, name in product(datasets, attacks, models))
        targets = [entry.name for entry in self.cells.models if same(arch_of(entry), value.target)]
        return (("transfer", *key) for key in product(datasets, attacks, models, targets))


def is_dataset(entry: DatasetEntry, value: PrintedValue) -> bool:
    """Whether a data set is that of a printed number: images under its name, or the features of its network."""
    if not same(entry.paper.get("dataset", entry.label), value.dataset):
        return False
    if value.attack != FEATURES:
        return "norm" not in entry.paper
    words = {"arch": value.arch, "norm": "", "training": STANDARD, **entry.paper}
    return all(same(words[key], str(getattr(value, key))) for key in ("arch", "norm", "training"))


def is_attack(entry: AttackEntry, value: PrintedValue) -> bool:
    """Whether an attack is that of a printed number, under its name with the norm or without."""
    name = entry.paper.get("attack", entry.label)
    return same(name, value.attack) or same(name + value.norm_p, value.attack)


def is_model(entry: ModelEntry, value: PrintedValue) -> bool:
    """Whether a model is that of a printed number."""
    words = words_of(entry)
    return all(
        not (wanted := str(getattr(value, key))) or same(words[key], wanted)
        for key in ("arch", "norm", "stats", "training")
    )


def arch_of(entry: ModelEntry) -> str:
    """What printed tables call a model's network."""
    return entry.paper.get("arch", architecture(entry))


def words_of(entry: ModelEntry) -> Mapping[str, str]:
    """What printed tables call a model, key by key."""
    view = entry.description.details.get("view", {})
    detected = {"norm": entry.description.norm, "stats": view.get("bn", "population"), "training": STANDARD}
    return {"arch": arch_of(entry), **detected, **entry.paper}


def require_results(printed: PrintedTable) -> None:
    """Raise HarnessError for a printed table that no suite can fill."""
    if printed.kind == "settings":
        raise HarnessError(f"{printed.citation} lists settings and has no results")


def mode_of(values: Iterable[PrintedValue]) -> Mode:
    """Which cells printed numbers are about."""
    values = list(values)
    if all(value.attack in (CLEAN, FEATURES) for value in values):
        return "clean"
    return "transfer" if any(value.target for value in values) else "whitebox"


def unfit(values: tuple[PrintedValue, ...], cells: Cells) -> str:
    """Why no cell fits any of some printed numbers, in words."""
    if all(value.attack == FEATURES for value in values) and not any("norm" in e.paper for e in cells.datasets):
        return (
            "it is about features, and the suite has no feature set of a known network.\n"
            '     say of which with paper = { dataset = "cifar10", norm = "bn", training = "standard" }'
        )
    values = tuple(value.judged for value in values)
    ours = {
        "dataset": [(e.paper.get("dataset", e.label), [is_dataset(e, v) for v in values]) for e in cells.datasets],
        "attack": [(e.paper.get("attack", e.label), [is_attack(e, v) for v in values]) for e in cells.attacks],
        **{
            key: [(words_of(e)[key], [v.has(key, words_of(e)[key]) for v in values]) for e in cells.models]
            for key in ("arch", "norm", "training")
        },
    }
    for key, words in ours.items():
        printed = dict.fromkeys(str(getattr(v, key)) for v in values if getattr(v, key) not in ("", CLEAN, FEATURES))
        if printed and not any(any(fits) for _, fits in words):
            here = ", ".join(dict.fromkeys(word for word, _ in words)) or "none"
            return f"its {key} is {' or '.join(printed)}, the suite's is {here}.\n     say which is which with `paper`"
    return (
        "nothing agrees in data set, attack, network, normalization and budget.\n     say which is which with `paper`"
    )


def _names_budget(entry: ThreatEntry, cell: Cell) -> bool:
    """Whether a suite says with this threat model what a paper calls the budget of a cell."""
    return entry.label == cell.threat and "epsilon" in entry.paper
