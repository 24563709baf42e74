"""Which samples count: boolean masks over outcomes, one per row of the frame they were made for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.core.errors import HarnessError

Mask = npt.NDArray[np.bool_]
"""(N,) True for the samples that count."""


def correct_when_clean(outcomes: pd.DataFrame) -> Mask:
    """The samples that the judged model classifies correctly without attack; -1 (logits not finite) never is."""
    return _equal(outcomes, "clean_prediction", "label")


def correct_under_attack(outcomes: pd.DataFrame) -> Mask:
    """The samples that are still classified correctly under attack; also for targeted attacks."""
    return _equal(outcomes, "adversarial_prediction", "label")


def correct_by_index(outcomes: pd.DataFrame) -> pd.Series[bool]:
    """Clean correctness by the position of the image in the data set, for use with records of other models."""
    index = pd.Index(outcomes["index"].to_numpy())
    return pd.Series(correct_when_clean(outcomes), index=index)


def correct_by_all(outcomes: pd.DataFrame, models: Iterable[pd.Series[bool]]) -> Mask:
    """The samples that every one of the models classifies correctly when clean, in the order of `outcomes`.

    Args:
        outcomes: the record's samples.
        models: one `correct_by_index` per model.

    Raises:
        HarnessError: when a model was judged on other images.
    """
    mask = np.ones(len(outcomes), dtype=np.bool_)
    wanted = outcomes["index"].to_numpy()
    for correct in models:
        positions = correct.index.get_indexer(pd.Index(wanted))
        if (positions < 0).any():
            raise HarnessError(
                f"{int((positions < 0).sum())} of {len(wanted)} images have no clean prediction by another model: "
                "the records are on different images.\n     run the suite again, so that all models see the same images"
            )
        mask &= correct.to_numpy()[positions]
    return mask


def _equal(outcomes: pd.DataFrame, prediction: str, label: str) -> Mask:
    predicted, true = outcomes[prediction].to_numpy(), outcomes[label].to_numpy()
    return cast(Mask, (predicted == true) & (predicted >= 0))
