"""What the store knows already of a job's samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.judging import Arena
from harness.store import Store


def finished_everywhere(parts: Mapping[str, Sequence[pd.DataFrame]], arena: Arena) -> npt.NDArray[np.bool_]:
    """(N,) samples that have outcomes in every cell of a job."""
    done = np.ones(len(arena.dataset.indices), dtype=bool)
    for frames in parts.values():
        indices = (
            np.concatenate([frame["index"].to_numpy() for frame in frames]) if frames else np.empty(0, dtype=np.int64)
        )
        done &= np.isin(arena.dataset.indices, indices)
    return done


def clean_predictions(store: Store, id: str, arena: Arena) -> npt.NDArray[np.int64]:
    """(N,) predictions on clean images, from the record of the clean cell, which runs first."""
    outcomes = store.outcomes(id).set_index("index")
    return outcomes["clean_prediction"].reindex(arena.dataset.indices).to_numpy(dtype=np.int64)
