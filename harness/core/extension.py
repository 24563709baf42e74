"""TOML files that extend others: tables over tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError

Table = dict[str, Any]


def extended(
    path: Path, kind: str, read: Callable[[Path], Table], merge: Callable[[Table, Table], Mapping[str, Any]]
) -> Table:
    """A file with those that it extends, from one to the next, merged in.

    Args:
        path: the file; its key `extend` names another one, relative to it.
        kind: what such files are, for messages.
        read: gives the tables of a file.
        merge: gives the tables of a file, its second argument, over those of the one that it extends.

    Raises:
        HarnessError: for an `extend` that leads nowhere or in a ring, and as `read` does.
    """
    merged, chain = read(path), [path]
    while (base := merged.pop("extend", None)) is not None:
        if not isinstance(base, str):
            raise HarnessError(f'{chain[-1]}: extend: write the path of one {kind} file, such as "base.toml"')
        base_path = chain[-1].parent / base
        if not base_path.is_file():
            raise HarnessError(f'{chain[-1]}: extend = "{base}": there is no file {base_path}')
        if any(base_path.samefile(file) for file in chain):
            ring = " -> ".join(str(file) for file in [*chain, base_path])
            raise HarnessError(f"a {kind} cannot extend itself: {ring}")
        chain.append(base_path)
        merged = dict(merge(read(base_path), merged))
    return merged


def merge_tables(base: Mapping[str, Any], change: Mapping[str, Any]) -> Table:
    """`change` over `base`, tables key by key; lists and values are replaced."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = merge_tables(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
