"""A job: work that one process does in one go, and the questions that it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.cells import Cell
from harness.crafting import CraftJob
from harness.store import Question


@dataclass(frozen=True)
class Job:
    """Clean predictions of a model, or crafting on it for some targets."""

    dataset: str
    """The data set's label."""
    surrogate: str
    """Suite name of the model that crafts, or whose geometry the images have that another model predicts."""
    cells: tuple[Cell, ...]
    """What it answers."""
    questions: tuple[Question, ...]
    """The cells' questions, in their order."""
    clean: tuple[str, ...]
    """Ids of the clean predictions that the cells are compared with, in their order; none for clean predictions."""
    carried: tuple[tuple[int, int] | None, ...]
    """(H, W) that images are scaled to for the targets, in the order of the cells; None where they fit as they are."""
    craft: CraftJob | None
    """What to craft; None for clean predictions."""
    seconds: float
    """Estimated time when no sample stops early."""
    passes: int
    """Passes, most of them forward and backward, when no sample stops early."""
    fixed_batches: bool = False
    """Whether the batch size is part of a question, so that batches must not be halved."""

    @property
    def crafting(self) -> str:
        """The id under which its images are kept.

        Where a target depends on its batch, images are kept by whole batches: those of another job may not be.
        """
        return max(self.questions, key=lambda question: "batch_size" in question.arguments).crafting

    def only(self, positions: Sequence[int]) -> Job:
        """The same for some of its cells."""
        return replace(
            self, cells=tuple(self.cells[i] for i in positions), questions=tuple(self.questions[i] for i in positions),
            clean=tuple(self.clean[i] for i in positions) if self.clean else (),
            carried=tuple(self.carried[i] for i in positions),
        )  # fmt: skip

    @property
    def is_carried(self) -> bool:
        """Whether it asks a model for clean predictions on images in the geometry of another one."""
        return self.craft is None and self.cells[0].target != self.surrogate
