"""What the parameters of torchattacks' classes may be."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

from pydantic import Field

from harness.attacks.torchattacks_passes import REPEATS, STEPS
from harness.core.numbers import Number

COUNTS = frozenset({
    *STEPS, *REPEATS, "N", "nb_sample", "max_batch_size", "batch_max", "len_kernel", "n_classes"
})  # fmt: skip
"""Parameters of which there is at least one; other parameters whose default is an int are measures."""

PROBABILITIES = frozenset({"diversity_prob", "prob", "p_init"})
"""Parameters between 0 and 1."""

NOT_KEYS = frozenset({"self", "model", "eps", "max_epsilon", "norm", "seed"})
"""Parameters that the harness fills in: they come from the threat model and the suite's seed."""


def annotation_of(parameter: inspect.Parameter) -> Any:
    """What a parameter's default and name say about its values."""
    if parameter.name in COUNTS:
        return Annotated[int, Field(ge=1)]
    if parameter.name in PROBABILITIES:
        return Annotated[Number, Field(ge=0, le=1)]
    if isinstance(parameter.default, bool | str):
        return type(parameter.default)
    if isinstance(parameter.default, int):
        # A default of 1 does not rule out 0.5; what is given as 1 stays 1 in records.
        return int | Number
    return Number if isinstance(parameter.default, float) else Any
