"""Which parquet files are those of a split: one whole file, or all the shards of one upload."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import HarnessError


class Shard(NamedTuple):
    """One of several files of a split, as its name tells."""

    number: int
    """Position among the files; they sort by it."""
    of: int
    """How many files there are."""
    name: str


def files_of(folder: Path, split: str) -> list[Path]:
    """`<split>.parquet`, or all of `<split>-<number>-of-<count>.parquet`, which may end in a hash, by their numbers.

    Raises:
        HarnessError: when there is none, one is missing, or files of several uploads lie side by side.
    """
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    whole, shards = f"{split}.parquet", _shards(names, split)
    if not shards and whole not in names:
        there = ", ".join(name for name in names if name.endswith(".parquet")) or "no parquet file"
        raise HarnessError(
            f"no {whole} in {folder} (there: {there}), nor {split}-00000-of-00001.parquet and the like.\n"
            "     set HARNESS_DATA or the dataset's `root` to the directory that holds the data"
        )
    if not shards:
        return [folder / whole]
    if whole in names:
        raise HarnessError(f"{folder} holds both {whole} and {shards[0].name}; remove one of the two")
    _check(folder, split, shards)
    return [folder / shard.name for shard in shards]


def _shards(names: list[str], split: str) -> list[Shard]:
    named = re.compile(rf"{re.escape(split)}-(\d+)-of-(\d+)(-[0-9a-f]+)?\.parquet")
    return sorted(Shard(int(match[1]), int(match[2]), name) for name in names if (match := named.fullmatch(name)))


def _check(folder: Path, split: str, shards: list[Shard]) -> None:
    """Raise HarnessError unless every shard of one upload is there once."""
    numbers = [shard.number for shard in shards]
    if len({shard.of for shard in shards}) > 1 or len(set(numbers)) < len(numbers):
        names = ", ".join(shard.name for shard in shards)
        raise HarnessError(f"{folder}: files of split {split} are of more than one upload: {names}; keep one upload")
    promised, first = shards[0].of, numbers[0]
    if numbers != list(range(first, first + promised)):
        there = ", ".join(str(number) for number in numbers)
        raise HarnessError(
            f"{folder}: {len(shards)} of the {promised} files of split {split} are there ({there}); add the others"
        )
