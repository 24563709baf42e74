"""Craft once, verify, judge on many.

Where predictions of the surrogate or of a target depend on the batch, batches are part of the question: consecutive
samples of the data set, the last batch smaller where they do not come out even. Each is crafted and judged as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from harness.attacks import Samples, Setting, as_float
from harness.attacks.resolve import ResolvedAttack
from harness.attacks.whole_batches import asked_whole
from harness.core.errors import HarnessError
from harness.core.precision import PassPrecision, Precision, stages
from harness.core.threat import ThreatModel
from harness.crafting_state import State
from harness.judging import (
    NO_MEMBER,
    Arena,
    Batch,
    check_crafted,
    join,
    judge,
    reached,
    verify,
    wanted_classes,
    whole_batches,
)
from harness.keeping import Keeper
from harness.models.classifier import Classifier, undisturbed
from harness.surrogate import Surrogate


@dataclass(frozen=True)
class CraftJob:
    """Adversarial images of one surrogate, attack, threat model and seed, judged on several targets."""

    attack: ResolvedAttack
    threat: ThreatModel
    seed: int
    classes: int
    """Number of classes of the surrogate."""
    whitebox: bool
    """The one target is the surrogate itself: samples may stop at the first success, unless batches are whole."""
    precision: Precision = "float32"
    """In which precision images are crafted."""
    compile: bool = False
    """Whether full batches of the crafting twin are compiled."""

    def run(
        self,
        surrogate: Surrogate,
        targets: Mapping[str, Classifier],
        clean: Mapping[str, npt.NDArray[np.int64]],
        arena: Arena,
        finished: npt.NDArray[np.bool_],
        keeper: Keeper | None = None,
    ) -> Iterator[dict[str, pd.DataFrame]]:
        """Yield finished batches: the outcomes of some samples on every target, by cell id.

        Args:
            surrogate: the model that crafts.
            targets: the models that are judged, by cell id.
            clean: (N,) clean predictions of every target, by cell id.
            arena: all N images.
            finished: (N,) samples that have outcomes already.
            keeper: holds images that were crafted before, and takes those that are crafted now.

        Raises:
            ThreatModelViolation: when the attack returns an image outside its threat model.
        """
        whole = any(model.batch_dependent for model in (surrogate.model, *targets.values()))
        state = self._begin(arena, finished, whole, clean)
        wanted, todo, passes = state.wanted, state.todo, torch.zeros_like(state.wanted)
        last = stages(self.precision)[-1]
        for kept, precision, batches in self._sources(surrogate, arena, state, keeper):
            for batch in batches:
                passes[batch.rows] += batch.passes
                batch = batch._replace(passes=passes[batch.rows])
                distances = verify(batch, arena, self.threat, self.attack.name)
                judged = {
                    id: judge(target, clean[id], batch, wanted, arena, self.threat, distances)
                    for id, target in targets.items()
                }
                if precision != last:
                    # What survived the screen is left to the next stage. Only white-box jobs, of one target, screen.
                    judged = {id: outcomes[outcomes["success"]] for id, outcomes in judged.items()}
                decided_now = np.isin(arena.dataset.indices, next(iter(judged.values()))["index"])
                todo &= torch.from_numpy(~decided_now).to(arena.device)
                if keeper and not kept:
                    keeper.keep(batch.take(~todo[batch.rows]), arena)
                if decided_now.any():
                    yield judged

    def _begin(
        self, arena: Arena, finished: npt.NDArray[np.bool_], whole: bool, clean: Mapping[str, npt.NDArray[np.int64]]
    ) -> State:
        """What is to do: what is not finished, in whole batches where these matter."""
        wanted = wanted_classes(arena, self.threat, self.classes, self.seed)
        todo = torch.from_numpy(~finished).to(arena.device)
        decided = torch.zeros_like(todo)
        if whole:
            todo = whole_batches(todo, arena.batch_size)
        elif self.whitebox:
            (prediction,) = (torch.tensor(predictions, device=arena.device) for predictions in clean.values())
            decided = reached(prediction, wanted, self.threat)
        return State(wanted, todo, decided, whole)

    def _sources(
        self, surrogate: Surrogate, arena: Arena, state: State, keeper: Keeper | None
    ) -> Iterator[tuple[bool, PassPrecision, Iterator[Batch]]]:
        """Where images come from, one source after the other: what was kept, then every stage of crafting.

        Each with whether it was kept and the precision of its passes. A white-box cell has no other target to keep
        images for, and its samples end where it ends.
        """
        *screens, last = stages(self.precision)
        if keeper and not self.whitebox:
            yield True, last, keeper.load(arena, state.todo, self.threat)
        for precision in (*screens, last):
            yield False, precision, self._batches(surrogate, arena, state, precision)

    def _batches(self, surrogate: Surrogate, arena: Arena, state: State, precision: PassPrecision) -> Iterator[Batch]:
        """Batches of about the arena's batch size: first the samples that need no attack, then crafted ones."""
        _, todo, decided, whole = state
        if (decided & todo).any():
            for rows in (decided & todo).nonzero()[:, 0].split(arena.batch_size):
                none = torch.zeros_like(rows)
                yield Batch(rows, as_float(arena.images[rows]), none, none.bool(), none + NO_MEMBER)
        if not (todo & ~decided).any():
            return
        fast = surrogate.twin(arena, precision, self.compile)
        everything = Samples(arena.images, arena.labels, arena.indices)
        may_stop = self.whitebox and not whole
        setting = Setting(self.threat, self.seed, arena.batch_size, may_stop, fast.slack, pool=everything)
        if precision != stages(self.precision)[-1]:
            setting = replace(setting, screening=True)
        elif precision != "float32":
            setting = replace(setting, exact=cache(lambda: surrogate.twin(arena, "float32", self.compile)[:2]))
        with undisturbed(surrogate.model), undisturbed(fast.model):
            waiting: list[Batch] = []
            for rows in state.groups(arena.batch_size, self.attack.attack.batch_dependent):
                together = asked_whole(fast.model, len(rows), self.attack.name)
                with together if surrogate.model.batch_dependent else nullcontext():
                    for batch in self._craft(fast.model, arena, rows, state, setting):
                        waiting.append(batch)
                        if sum(len(part.rows) for part in waiting) >= arena.batch_size:
                            yield join(waiting)
                            waiting = []
            if waiting:
                yield join(waiting)

    def _craft(self, model: nn.Module, arena: Arena, rows: Tensor, state: State, setting: Setting) -> Iterator[Batch]:
        """Run the attack on some samples; those that are not to do only take part."""
        samples = Samples(arena.images[rows], state.wanted[rows], arena.indices[rows])
        owed = torch.ones_like(rows, dtype=torch.bool)
        for crafted in self.attack.attack.craft(model, samples, setting):
            check_crafted(crafted, samples, owed, self.attack.name)
            owed[crafted.rows] = False
            member = torch.full_like(crafted.rows, NO_MEMBER) if crafted.member is None else crafted.member
            batch = Batch(rows[crafted.rows], *crafted[1:4], member)
            missing = state.todo[batch.rows]
            if missing.any():
                yield batch.take(missing)
        if owed.any():
            raise HarnessError(
                f'attack "{self.attack.name}" returned no image for {int(owed.sum())} of {len(rows)} samples'
            )
