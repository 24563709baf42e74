"""How far crafting is, and which samples an attack is given together."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class State(NamedTuple):
    """The samples of a job."""

    wanted: Tensor
    """(N,) true or wanted classes."""
    todo: Tensor
    """(N,) samples without outcomes; updated in place."""
    decided: Tensor
    """(N,) samples that need no attack."""
    whole: bool
    """Whether batches are those of `whole_batches`."""

    def groups(self, batch_size: int, in_batches: bool) -> list[Tensor]:
        """Rows of the samples that the attack is given together; those that are finished may be among them.

        Where results depend on the batch, its composition may not depend on what was finished before: batches are
        cut from all undecided samples, and one with a missing sample runs whole.

        Args:
            batch_size: of those batches.
            in_batches: whether results of the attack depend on the batch.
        """
        undecided = (~self.decided).nonzero()[:, 0]
        if self.whole or in_batches:
            return [rows for rows in undecided.split(batch_size) if self.todo[rows].any()]
        return [undecided[self.todo[undecided]]]
