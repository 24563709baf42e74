"""The handwritten digits that scikit-learn ships: real data without a download."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError
from harness.data import DATASETS, Array, Source
from harness.data.subset import rank_in_class

HIGHEST_LEVEL = 16


@DATASETS.register("digits")
def digits(split: Literal["train", "test"] = "test") -> Source:
    """Handwritten digits, 8x8 grey, part of scikit-learn (1,198 to train, 599 to test).

    Alpaydin and Kaynak 1998, the test part of the UCI set, 1,797 images. The split is ours and fixed: of every three
    images of a class, in the data set's order, the middle one is a test image. Pixels are level / 16, float32.

    Args:
        split: "train" or "test".

    Raises:
        HarnessError: when scikit-learn is not installed.
    """
    table = _packaged_table()
    labels = table[:, -1].astype(np.int64)
    is_test = rank_in_class(labels) % 3 == 1
    chosen = {"train": ~is_test, "test": is_test}[split]
    pixels = (table[chosen, :-1].reshape(-1, 1, 8, 8) / HIGHEST_LEVEL).astype(np.float32)

    def read(indices: npt.NDArray[np.int64]) -> Array:
        return pixels[indices]

    return Source(f"digits ({split})", labels[chosen], tuple("0123456789"), read)


def _packaged_table() -> npt.NDArray[np.float64]:
    """(1797, 65): 64 levels from 0 to 16, then the class."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None:
        raise HarnessError('dataset "digits" is part of scikit-learn, which is not installed: pip install scikit-learn')
    for folder in spec.submodule_search_locations or []:
        # Importing sklearn.datasets takes 1.5 s, reading its file 0.02 s.
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    return _table_of_scikit_learn()


def _table_of_scikit_learn() -> npt.NDArray[np.float64]:
    """The same table, through scikit-learn's own function."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return np.column_stack([pixels, labels]).astype(np.float64)
