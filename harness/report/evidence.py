"""What the store knows about a suite's cells, every file read at most once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from harness.cells import Cell, Cells, DatasetEntry
from harness.metrics.counting import correct_by_index
from harness.store import Record, Store

if TYPE_CHECKING:
    BoolSeries = pd.Series[bool]


class Evidence:
    """Records and outcomes of a suite, kept while its report is made."""

    def __init__(self, cells: Cells, store: Store) -> None:
        """Reads nothing yet."""
        self.cells = cells
        self.store = store
        self._records: dict[str, Record | None] = {}
        self._outcomes: dict[str, pd.DataFrame] = {}
        self._models: dict[str, list[str]] = {}
        self._clean: dict[tuple[str, str], BoolSeries | None] = {}
        self._clean_by_all: dict[tuple[str, ...], BoolSeries] = {}

    def data(self, cell: Cell) -> DatasetEntry:
        """A cell's data set, with the images that its tables keep."""
        return next(entry for entry in self.cells.datasets if entry.label == cell.dataset)

    def record(self, cell: Cell) -> Record | None:
        """A cell's record; None when the cell has not run."""
        if cell.id not in self._records:
            self._records[cell.id] = self.store.read(cell.id) if cell.id in self.store else None
        return self._records[cell.id]

    def failure(self, cell: Cell) -> str | None:
        """Why a cell failed, in one line; None when it did not."""
        reason = self.store.failure(cell.id)
        return reason.partition("\n")[0].strip() if reason else None

    def outcomes(self, cell: Cell) -> pd.DataFrame:
        """A finished cell's samples."""
        if cell.id not in self._outcomes:
            self._outcomes[cell.id] = self.store.outcomes(cell.id)
        return self._outcomes[cell.id]

    def models_on(self, dataset: str) -> list[str]:
        """Suite names of the models that have a part in the cells of a data set, but for those that were left out."""
        if dataset not in self._models:
            cells = [cell for cell in self.cells.cells if cell.dataset == dataset]
            names = dict.fromkeys(name for cell in cells for name in (cell.surrogate, cell.target))
            self._models[dataset] = [name for name in names if not self.cells.model(name).left_out]
        return self._models[dataset]

    def clean_correct(self, model: str, dataset: str) -> BoolSeries | None:
        """Which images, by index, a model gets right when clean; None when no record says so.

        The clean cell says so, and so does every other cell that judges the model on this data.
        """
        key = (model, dataset)
        if key not in self._clean:
            judged = (cell for cell in self.cells.cells if cell.target == model and cell.dataset == dataset)
            cell = next((cell for cell in sorted(judged, key=_clean_first) if self.record(cell)), None)
            self._clean[key] = correct_by_index(self.outcomes(cell)) if cell else None
        return self._clean[key]

    def clean_correct_by_all(self, models: Sequence[str], dataset: str) -> BoolSeries:
        """Which images, by index, several models get right when clean; all of them have records that say so."""
        key = (dataset, *models)
        if key not in self._clean_by_all:
            each = [correct for name in models if (correct := self.clean_correct(name, dataset)) is not None]
            self._clean_by_all[key] = pd.concat(each, axis=1, join="inner").all(axis=1)
        return self._clean_by_all[key]


def _clean_first(cell: Cell) -> bool:
    return cell.mode != "clean"
