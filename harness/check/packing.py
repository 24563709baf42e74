"""Verdicts and indices of many images as short texts, and back.

Verdicts are bits in base64: 1,000 images take 168 characters. Indices are ranges, such as "0-4,7,9-12".
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re

import numpy as np
import numpy.typing as npt

from harness.metrics.counting import Mask

Indices = npt.NDArray[np.int64]

RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)
"""One index, or the first and the last of several in a row."""


def pack_verdicts(verdicts: npt.ArrayLike) -> str:
    """(N,) booleans as base64, eight to a byte, the first in the highest bit; the last byte is filled with zeros."""
    return base64.b64encode(np.packbits(np.asarray(verdicts, dtype=bool)).tobytes()).decode()


def unpack_verdicts(text: str, n: int) -> Mask:
    """The (n,) booleans of `pack_verdicts`. Raises ValueError for a text that does not hold exactly n."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the verdicts are not base64") from None
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))
    if len(content) != (n + 7) // 8 or bits[n:].any():
        raise ValueError(f"the verdicts are not those of {n} images")
    return bits[:n].astype(np.bool_)


def pack_indices(indices: npt.ArrayLike) -> str:
    """(N,) ascending indices as ranges. Raises ValueError when they do not ascend from 0 or above."""
    numbers = np.asarray(indices, dtype=np.int64)
    if numbers.size == 0:
        return ""
    steps = np.diff(numbers)
    if numbers[0] < 0 or (steps <= 0).any():
        raise ValueError("indices are written in ascending order, each once")
    runs = np.split(numbers, np.flatnonzero(steps > 1) + 1)
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def unpack_indices(text: str, n: int) -> Indices:
    """The (n,) indices of `pack_indices`. Raises ValueError for a text that does not hold exactly n."""
    found = [RANGE.fullmatch(part) for part in text.split(",")] if text else []
    ends = [(int(one[1]), int(one[2] or one[1])) for one in found if one]
    if len(ends) < len(found) or any(last < first for first, last in ends):
        raise ValueError('the indices are not ranges such as "0-4,7,9-12"')
    if any(later[0] <= earlier[1] for earlier, later in itertools.pairwise(ends)):
        raise ValueError("the indices do not ascend")
    # Counted before they are made: a damaged range may be of any length.
    if sum(last - first + 1 for first, last in ends) != n:
        raise ValueError(f"the indices are not those of {n} images")
    return np.concatenate(
        [np.arange(first, last + 1, dtype=np.int64) for first, last in ends] or [np.empty(0, np.int64)]
    )
