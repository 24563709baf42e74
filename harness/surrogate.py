"""A model that crafts, with its fast twins: each is made and compared once, for all attacks on the model."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.attacks import as_float
from harness.core.precision import PassPrecision
from harness.judging import Arena
from harness.models.classifier import Classifier
from harness.models.prepare import Prepared, prepare

PROBE_IMAGES = 16
"""Real images on which a fast twin is compared with its original."""


@dataclass(frozen=True)
class Surrogate:
    """A model that crafts."""

    model: Classifier
    """The original."""
    _twins: dict[tuple[str, PassPrecision, int | None], Prepared] = field(default_factory=dict, init=False, repr=False)

    def twin(self, arena: Arena, precision: PassPrecision, compiled: bool = False) -> Prepared:
        """What stands in for the model on some images, with passes in a precision.

        A model that may answer otherwise next time has another one every time: what it keeps to itself must not reach
        from one attack into the next.

        Args:
            arena: the images, on the first of which it is compared with the model.
            precision: of its passes.
            compiled: whether those of full batches are compiled.
        """
        full = arena.batch_size if compiled else None
        key = (arena.dataset.fingerprint, precision, full)
        if key in self._twins:
            return self._twins[key]
        twin = prepare(self.model, as_float(arena.images[:PROBE_IMAGES]), precision, full)
        if twin.steady:
            self._twins[key] = twin
        return twin
