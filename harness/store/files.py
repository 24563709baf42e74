"""Whole files or none: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from harness.core.errors import HarnessError, in_one_line
from harness.core.whole import whole
from harness.store.record import OUTCOME_COLUMNS

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What systems say when there is no room left."""


@contextmanager
def writing(store: Path) -> Iterator[None]:
    """Turn what goes wrong on the disk while a store is written into a HarnessError that says what to do."""
    try:
        yield
    except OSError as error:
        # Libraries put their own words before the system's.
        said = os.strerror(error.errno) if error.errno else in_one_line(error)
        advice = "name another folder with --store or HARNESS_STORE"
        room = "free space, or " if error.errno in FULL else ""
        raise HarnessError(f"the store {store} cannot be written: {said}.\n     {room}{advice}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file; its folder is made if it is not there. Raises OSError and leaves nothing when it cannot."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; its folder is made if it is not there. Raises OSError and leaves nothing when it cannot."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_parquet(path: Path, outcomes: pd.DataFrame) -> None:
    """Write outcomes with the columns and types of `OUTCOME_COLUMNS`; the folder is made if it is not there.

    Raises:
        OSError: when that cannot be done; nothing is left then.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Not by pandas, which takes five times as long for a few samples: short cells are mostly this.
    columns = {name: outcomes[name].to_numpy().astype(kind) for name, kind in OUTCOME_COLUMNS.items()}
    with whole(path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read outcomes. Raises OSError or ValueError when there are none, or the file is damaged."""
    import pyarrow.parquet as pq

    # Without threads, and not by pandas: a third of the time for files as small as these.
    with pq.ParquetFile(path) as file:
        outcomes: pd.DataFrame = file.read(use_threads=False).to_pandas(use_threads=False)
    return outcomes
