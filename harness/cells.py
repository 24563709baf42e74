"""Cells: the points of a suite's matrix, with the names under which tables know them.

A plan writes its cells into the store (`suites/<name>.json`), so that reports find the records of a suite without
loading a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.asked import Asked, run_of
from harness.core.errors import HarnessError, in_one_line
from harness.core.validation import Closed
from harness.store import ModelDescription, Store
from harness.store.files import write_text

CLEAN = "Clean"
"""What cells without an attack have as its label."""


class Cell(Closed):
    """One attack on one target: where its record is, and how tables call it."""

    id: str
    """The record's id."""
    mode: Literal["clean", "whitebox", "transfer"]
    """clean: no attack."""
    attack: str
    """The attack's label; CLEAN for clean cells."""
    threat: str
    """The threat model's label, such as "L∞ 8/255"; empty for clean cells."""
    norm: str
    """linf, l2 or l1; empty for clean cells."""
    epsilon: float
    """Budget on the [0, 1] pixel scale; 0 for clean cells."""
    dataset: str
    """The data set's label."""
    seed: int
    """Seed of the attack."""
    surrogate: str
    """Suite name of the model that crafts, or whose geometry the images have; the target's own for white-box cells."""
    target: str
    """Suite name of the model that is judged."""

    @property
    def words(self) -> str:
        """The cell in words, such as "PGD L∞ 8/255 crafted on a, judged on b, digits (test), seed 0"."""
        transfer = self.mode == "transfer"
        models = f"crafted on {self.surrogate}, judged on {self.target}" if transfer else f"on {self.target}"
        seed = "" if self.mode == "clean" else f", seed {self.seed}"
        return f"{' '.join(filter(None, (self.attack, self.threat)))} {models}, {self.dataset}{seed}"


class ModelEntry(Closed):
    """A model of a suite."""

    name: str
    """How the suite refers to it."""
    label: str
    """How tables print it."""
    facts: dict[str, str | int | float | bool]
    """Free columns of the suite file."""
    paper: dict[str, str] = {}
    """What printed tables call it, as far as the suite says so: arch, norm, stats, training; and a note."""
    description: ModelDescription
    """What it is."""
    left_out: bool = False
    """Whether its cells are not to run, for want of its weights."""


class AttackEntry(Closed):
    """An attack of a suite, with one set of arguments."""

    label: str
    """How tables print it; unique."""
    facts: dict[str, str | int | float | bool]
    """Free columns of the suite file."""
    paper: dict[str, str] = {}
    """What printed tables call it: attack; and a note."""


class ThreatEntry(Closed):
    """A threat model of a suite."""

    name: str
    """How the suite refers to it."""
    label: str
    """How tables print it, such as "L∞ 8/255"."""
    paper: dict[str, str] = {}
    """What printed tables call it, as far as the suite says so: epsilon; and a note."""


class DatasetEntry(Closed):
    """A data set of a suite."""

    label: str
    """How tables print it."""
    samples: int
    """Number of images used."""
    selection: str
    """How they were chosen: "class-balanced", "first", "listed"."""
    fingerprints: dict[str, str]
    """sha256 over pixels, labels and indices, by the geometry in which models are given the images; "" for one that is
    the same for all."""
    keep: Literal["all", "surrogate-correct", "all-correct"]
    """Which images tables count."""
    paper: dict[str, str] = {}
    """What printed tables call it: dataset, of a feature set arch, norm and training of its network; and a note."""
    origin: str = ""
    """Of a feature set: sha256 over what its images were made from. Sets of one origin are paired image by image."""

    @property
    def whole(self) -> DatasetEntry:
        """The data set with all its images counting: what a suite keeps for its own tables no paper leaves out."""
        return self.model_copy(update={"keep": "all"})


class Cells(Closed):
    """All cells of a suite, as the last plan resolved them."""

    suite: str
    """The suite's name."""
    models: list[ModelEntry]
    """In the order of the file."""
    datasets: list[DatasetEntry]
    """In the order of the file."""
    attacks: list[AttackEntry] = []
    """In the order of the file."""
    threats: list[ThreatEntry] = []
    """In the order of the file, one per budget."""
    cells: list[Cell]
    """In the order of the file: clean cells first."""
    carried: list[Cell] = []
    """Clean predictions on images in the geometry of another model, `surrogate`: what transfer cells compare with."""
    asked: Asked | None = None
    """How the run was asked for."""

    @property
    def command(self) -> str:
        """The command that runs the suite again."""
        return self.asked.command if self.asked else run_of(self.suite)

    @property
    def whose(self) -> str:
        """How sentences refer to where the cells come from."""
        return "this suite"

    def model(self, name: str) -> ModelEntry:
        """The model under a suite name."""
        return next(entry for entry in self.models if entry.name == name)

    def ids(self) -> set[str]:
        """The records that the suite needs; two cells that ask the same thing share one."""
        return {cell.id for cell in (*self.cells, *self.carried)}

    def left_out(self) -> set[str]:
        """The records that will not come, for want of a model's weights."""
        absent = {model.name for model in self.models if model.left_out}
        return {cell.id for cell in (*self.cells, *self.carried) if absent & {cell.surrogate, cell.target}}

    def missing(self, store: Store) -> list[Cell]:
        """The cells without a record."""
        return [cell for cell in (*self.cells, *self.carried) if cell.id not in store]


def cells_path(store: Store, suite: str) -> Path:
    """Where a suite's cells are kept."""
    return store.path / "suites" / f"{suite}.json"


def write_cells(store: Store, cells: Cells) -> None:
    """Keep a suite's cells for its reports."""
    write_text(cells_path(store, cells.suite), cells.model_dump_json(indent=1))


def read_cells(store: Store, suite: str) -> Cells:
    """The cells of the suite's last plan. Raises HarnessError when it was never planned with this store."""
    path = cells_path(store, suite)
    if not path.exists():
        raise HarnessError(
            f"suite {suite} was never run with the store {store.path}.\n     run it, or name its store with --store"
        )
    try:
        return Cells.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # pydantic's errors, JSON and UTF-8 included
        raise HarnessError(
            f"{path} cannot be read: {in_one_line(error)}.\n     run the suite again; the file is made anew"
        ) from None
