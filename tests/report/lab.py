"""A suite's cells and store, filled by hand: every number in it can be counted on fingers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from harness.cells import AttackEntry, Cell, Cells, DatasetEntry, ModelEntry, ThreatEntry
from harness.metrics.summary import summarize
from harness.spec import Suite, TableSpec
from harness.store import OUTCOME_COLUMNS, ModelDescription, Question, Record, Store

THREAT = ("linf", 8 / 255, "L∞ 8/255")
WRONG = 9


class Lab:
    """Builds records; True in a list of outcomes means that the judged model is right."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.models: list[ModelEntry] = []
        self.datasets: list[DatasetEntry] = []
        self.attacks: list[AttackEntry] = []
        self.threats: list[ThreatEntry] = []
        self.planned: list[Cell] = []
        self.clean: dict[tuple[str, str], list[bool]] = {}

    def data(
        self, label: str = "Digits", samples: int = 4, keep: Any = "all", origin: str = "", **paper: str
    ) -> str:  # fmt: skip
        entry = DatasetEntry(
            label=label, samples=samples, selection="first", fingerprints={"": label * 20}, keep=keep, paper=paper,
            origin=origin,
        )  # fmt: skip
        self.datasets.append(entry)
        return label

    def model(
        self, name: str, label: str | None = None, norm: str = "bn", random: bool = False,
        paper: dict[str, str] | None = None, view: dict[str, str] | None = None, **facts: Any,
    ) -> str:  # fmt: skip
        layers = {} if norm == "none" else {norm: 3}
        description = ModelDescription(
            id=f"zoo:{name}", fingerprint=f"{name:_<64}", norm=norm, norm_layers=layers, parameters=12345,
            random_weights=random, details={"view": view} if view else {},
        )  # fmt: skip
        entry = ModelEntry(name=name, label=label or name, facts=facts, paper=paper or {}, description=description)
        self.models.append(entry)
        return name

    def facts(self, attack: str, **facts: Any) -> None:
        self.attacks.append(AttackEntry(label=attack, facts=facts))

    def called(self, label: str, **paper: str) -> None:
        """What printed tables call an attack."""
        self.attacks.append(AttackEntry(label=label, facts={}, paper=paper))

    def budget(self, name: str, label: str, **paper: str) -> None:
        """What the suite and printed tables call a threat model."""
        self.threats.append(ThreatEntry(name=name, label=label, paper=paper))

    def judge_clean(
        self, model: str, correct: Sequence[bool], data: str = "Digits", run: bool = True,
        flags: dict[str, int] | None = None,
    ) -> Cell:  # fmt: skip
        self.clean[model, data] = list(correct)
        outcomes = list(correct) if run else None
        return self._cell("clean", model, model, "Clean", ("", 0.0, ""), data, 0, outcomes, flags)

    def attack(
        self, surrogate: str, target: str, correct: Sequence[bool] | None, attack: str = "PGD",
        threat: tuple[str, float, str] = THREAT, data: str = "Digits", seed: int = 0,
        mode: Literal["whitebox", "transfer"] | None = None, **more: Any,
    ) -> Cell:  # fmt: skip
        """`correct` None: planned, but not run."""
        mode = mode or ("whitebox" if surrogate == target else "transfer")
        return self._cell(mode, surrogate, target, attack, threat, data, seed, correct, **more)

    def _cell(
        self, mode: Any, surrogate: str, target: str, attack: str, threat: tuple[str, float, str], data: str,
        seed: int, correct: Sequence[bool] | None, flags: dict[str, int] | None = None, goal: str = "untargeted",
        success: Sequence[bool] | None = None, l2: Sequence[float] | None = None,
    ) -> Cell:  # fmt: skip
        question = Question(
            mode=mode, target=target, surrogate=surrogate, dataset=data, attack=None if mode == "clean" else attack,
            arguments={} if mode == "clean" else {"steps": 10, "step_size": 0.8 / 255}, attack_version="1",
            norm=threat[0], epsilon=threat[1], goal=None if mode == "clean" else goal, seed=seed,
        )  # fmt: skip
        cell = Cell(
            id=question.id, mode=mode, attack=attack, threat=threat[2], norm=threat[0], epsilon=threat[1],
            dataset=data, seed=seed, surrogate=surrogate, target=target,
        )  # fmt: skip
        self.planned.append(cell)
        if correct is not None:
            outcomes = self._outcomes(target, data, correct, success, l2)
            by_name = {model.name: model.description for model in self.models}
            record = Record(
                id=cell.id, question=question, target=by_name[target], surrogate=by_name[surrogate], dataset=data,
                n=len(outcomes), values=summarize(outcomes), flags=flags or {},
                examined=3 if mode == "clean" else 0, environment={"host": "somewhere"},
                wall_seconds=1.0, created="2020-01-01T00:00:00Z",
            )  # fmt: skip
            self.store.write(record, outcomes)
        return cell

    def _outcomes(
        self, target: str, data: str, correct: Sequence[bool], success: Sequence[bool] | None,
        l2: Sequence[float] | None,
    ) -> pd.DataFrame:  # fmt: skip
        n = len(correct)
        frame = pd.DataFrame({
            # Positions in the whole data set are not positions in the frame.
            "index": [10 * i + 3 for i in range(n)],
            "label": 1,
            "wanted": 1 if success is None else 2,
            "clean_prediction": [1 if right else WRONG for right in self.clean[target, data]],
            "adversarial_prediction": [1 if right else WRONG for right in correct],
            "success": [not right for right in correct] if success is None else list(success),
            "linf": 0.03,
            "l2": [1.0] * n if l2 is None else list(l2),
            "l1": 0.0,
            "passes": 10,
            "zero_gradient": False,
            "member": -1,
        })  # fmt: skip
        return frame[[name for name in OUTCOME_COLUMNS if name in frame]]

    def cells(self) -> Cells:
        planned = sorted(self.planned, key=lambda cell: cell.mode != "clean")
        entries = {"models": self.models, "datasets": self.datasets, "attacks": self.attacks, "threats": self.threats}
        return Cells(suite="lab", **entries, cells=planned)  # type: ignore[arg-type]

    def suite(self, *tables: TableSpec, **more: Any) -> Suite:
        modes = {cell.mode for cell in self.planned}
        return Suite.model_validate({
            "name": "lab",
            "dataset": {"id": "digits"},
            "threat": {"norm": "linf", "epsilon": "8/255"},
            "models": [{"name": m.name, "id": m.description.id, "label": m.label} for m in self.models],
            "tables": [table.model_dump(exclude_unset=True) for table in tables],
            **{mode: {} for mode in ("whitebox", "transfer") if mode in modes},
            **more,
        })  # fmt: skip
