"""Whole files or none: written under a temporary name, then renamed."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from harness.store.record import OUTCOME_COLUMNS


def write_text(path: Path, text: str) -> None:
    """Write a text file; its folder is made if it is not there."""
    temporary = _temporary(path)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; its folder is made if it is not there."""
    temporary = _temporary(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def write_parquet(path: Path, outcomes: pd.DataFrame) -> None:
    """Write outcomes with the columns and types of `OUTCOME_COLUMNS`; the folder is made if it is not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    temporary = _temporary(path)
    # Not by pandas, which takes five times as long for a few samples: short cells are mostly this.
    columns = {name: outcomes[name].to_numpy().astype(kind) for name, kind in OUTCOME_COLUMNS.items()}
    pq.write_table(pa.table(columns), temporary)
    temporary.replace(path)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read outcomes. Raises OSError or ValueError when there are none, or the file is damaged."""
    import pyarrow.parquet as pq

    # Without threads, and not by pandas: a third of the time for files as small as these.
    with pq.ParquetFile(path) as file:
        outcomes: pd.DataFrame = file.read(use_threads=False).to_pandas(use_threads=False)
    return outcomes


def _temporary(path: Path) -> Path:
    """A name beside the file that no reader looks for and no other process uses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
