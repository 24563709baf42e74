"""Cells of several suites as those of one: a name means one thing in all, and what is the same is there once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from harness.cells import AttackEntry, Cell, Cells, DatasetEntry, ModelEntry, ThreatEntry

T = TypeVar("T")
Labelled = TypeVar("Labelled", DatasetEntry, AttackEntry, ThreatEntry)


class JointCells(Cells):
    """The cells of several suites."""

    @property
    def whose(self) -> str:
        """How sentences refer to where the cells come from."""
        return "these suites"


def told_apart(suites: Sequence[Cells]) -> list[Cells]:
    """The cells of every suite, with names that are another suite's too only where they mean the same.

    Where suites give one name to different models, data sets, attacks or budgets, the suite stands behind it, as in
    "vgg11 (whitebox_svhn)". Labels of models stay as they are, and so does what printed tables call anything.
    """
    shared = {
        "models": _ambiguous(suites, lambda cells: [(entry.name, entry) for entry in cells.models]),
        "datasets": _ambiguous(suites, lambda cells: [(entry.label, entry) for entry in cells.datasets]),
        "attacks": _ambiguous(suites, lambda cells: [(entry.label, entry) for entry in cells.attacks]),
        "threats": _ambiguous(suites, lambda cells: [(entry.label, entry.paper) for entry in cells.threats]),
        "notes": _ambiguous(suites, lambda cells: [(entry.label, entry.paper.get("note")) for entry in cells.models]),
    }
    return [_Renaming(cells, shared).renamed() for cells in suites]


def merged(suites: Sequence[Cells]) -> JointCells:
    """The cells of suites that were told apart, as those of one."""
    return JointCells(
        suite=", ".join(cells.suite for cells in suites),
        models=_distinct(entry for cells in suites for entry in cells.models),
        datasets=_distinct(entry for cells in suites for entry in cells.datasets),
        attacks=_distinct(entry for cells in suites for entry in cells.attacks),
        threats=_distinct(entry for cells in suites for entry in cells.threats),
        cells=list(dict.fromkeys(cell for cells in suites for cell in cells.cells)),
        carried=list(dict.fromkeys(cell for cells in suites for cell in cells.carried)),
    )


def _ambiguous(suites: Sequence[Cells], named: Callable[[Cells], Iterable[tuple[str, Any]]]) -> set[str]:
    """Names under which suites have different things."""
    things: dict[str, list[list[Any]]] = {}
    for cells in suites:
        own: dict[str, list[Any]] = {}
        for name, thing in named(cells):
            if thing not in own.setdefault(name, []):
                own[name].append(thing)
        for name, several in own.items():
            things.setdefault(name, []).append(several)
    return {name for name, several in things.items() if any(one != several[0] for one in several[1:])}


class _Renaming:
    """One suite's cells, with the suite behind every name that is ambiguous."""

    def __init__(self, cells: Cells, ambiguous: dict[str, set[str]]) -> None:
        self.cells, self.ambiguous = cells, ambiguous

    def renamed(self) -> Cells:
        cells = self.cells
        return cells.model_copy(
            update={
                "models": [self._model(entry) for entry in cells.models],
                "datasets": [self._labelled(entry, "datasets", {"dataset": entry.label}) for entry in cells.datasets],
                "attacks": [self._labelled(entry, "attacks", {"attack": entry.label}) for entry in cells.attacks],
                "threats": [self._labelled(entry, "threats", {}) for entry in cells.threats],
                "cells": [self._cell(cell) for cell in cells.cells],
                "carried": [self._cell(cell) for cell in cells.carried],
            }
        )

    def _labelled(self, entry: Labelled, kind: str, called: dict[str, str]) -> Labelled:
        """An entry; `called` is what printed tables call it unless the suite says otherwise."""
        return entry.model_copy(update={"label": self._name(entry.label, kind), "paper": called | entry.paper})

    def _name(self, name: str, kind: str) -> str:
        return f"{name} ({self.cells.suite})" if name in self.ambiguous[kind] else name

    def _model(self, entry: ModelEntry) -> ModelEntry:
        """The model; its note says whose it is where another model of its label has another one."""
        paper = dict(entry.paper)
        if "note" in paper and entry.label in self.ambiguous["notes"]:
            paper["note"] += f" ({self.cells.suite})"
        return entry.model_copy(update={"name": self._name(entry.name, "models"), "paper": paper})

    def _cell(self, cell: Cell) -> Cell:
        return cell.model_copy(
            update={
                "surrogate": self._name(cell.surrogate, "models"),
                "target": self._name(cell.target, "models"),
                "dataset": self._name(cell.dataset, "datasets"),
                "attack": cell.attack if cell.mode == "clean" else self._name(cell.attack, "attacks"),
                "threat": self._name(cell.threat, "threats"),
            }
        )


def _distinct(entries: Iterable[T]) -> list[T]:
    found: list[T] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found
