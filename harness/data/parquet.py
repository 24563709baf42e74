"""Parquet files in the Hugging Face layout: encoded images in one column, class numbers in another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError
from harness.data import DATASETS, Source, data_path
from harness.data.images import Channels, Encoded, Size, encoded_source

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")


class RowGroup(NamedTuple):
    """The rows that parquet reads together."""

    file: Path
    number: int
    """Position of the group in its file."""
    start: int
    """Index of its first row in the whole data set."""
    rows: int


@DATASETS.register("parquet")
def parquet(
    path: str,
    split: str = "test",
    root: str | None = None,
    name: str | None = None,
    size: Size | None = None,
    channels: Channels | None = None,
) -> Source:
    """Parquet files of encoded images (Hugging Face layout): <root>/<path>/<split>*.parquet.

    Args:
        path: folder of the files, below `root` unless absolute.
        split: file name without `.parquet`, or the part before the first `-` (`test-00000-of-00001.parquet`).
        root: directory that holds data; default HARNESS_DATA, else `./data`.
        name: how reports name the data; default the folder's name and the split.
        size: scale the shorter side to this (bilinear, antialiased) and cut out the middle square; "model" for what
            each model asks for.
        channels: 1 for grey, 3 for RGB; default RGB unless all chosen images are grey.

    Raises:
        HarnessError: when there is no such folder, split or column, a shard is missing, or images have no label.
    """
    import pyarrow.parquet as pq

    files = _files_of(data_path(root, path), split)
    schema = pq.read_schema(files[0])
    image_column = _column(files[0], schema.names, IMAGE_COLUMNS)
    label_column = _column(files[0], schema.names, LABEL_COLUMNS)
    leaf = _encoded_leaf(files[0], schema.field(image_column))
    labels = np.concatenate([_labels(file, label_column) for file in files])
    classes = _class_names(schema.metadata, label_column) or tuple(map(str, range(int(labels.max(initial=-1)) + 1)))
    groups = _row_groups(files)

    def encoded(indices: npt.NDArray[np.int64]) -> Iterable[Encoded]:
        ascending = np.sort(indices)
        images = _encoded(groups, leaf, ascending)
        if np.array_equal(ascending, indices):
            return images
        held = list(images)
        return (held[position] for position in np.searchsorted(ascending, indices))

    return encoded_source(name or f"{Path(path).name} ({split})", labels, classes, encoded, size, channels)


def _files_of(folder: Path, split: str) -> list[Path]:
    """The one file of a split, or all its shards in order. Raises HarnessError when any is missing."""
    whole, shards = folder / f"{split}.parquet", sorted(folder.glob(f"{split}-*.parquet"))
    if whole.is_file() and shards:
        raise HarnessError(f"{folder} holds both {whole.name} and {shards[0].name}; remove one of the two")
    if not whole.is_file() and not shards:
        there = ", ".join(sorted(file.name for file in folder.glob("*.parquet"))) or "no parquet file"
        raise HarnessError(
            f"no {whole.name} in {folder} (there: {there}).\n"
            "     set HARNESS_DATA or the dataset's `root` to the directory that holds the data"
        )
    promised = max((int(match[1]) for file in shards if (match := re.search(r"-of-(\d+)", file.stem))), default=0)
    if shards and promised > len(shards):
        raise HarnessError(
            f"{folder}: {len(shards)} of the {promised} files of split {split} are there; add the others"
        )
    return shards or [whole]


def _column(file: Path, names: Sequence[str], known: tuple[str, ...]) -> str:
    found = next((name for name in known if name in names), None)
    if found is None:
        raise HarnessError(f"{file}: needs a column {' or '.join(known)}; has {', '.join(names)}")
    return found


def _encoded_leaf(file: Path, field: Any) -> str:
    """The path of the column of bytes: the field itself, or `bytes` inside it. Any offset width will do."""
    import pyarrow as pa

    inner = field.type.field("bytes").type if pa.types.is_struct(field.type) and "bytes" in field.type.names else None
    if _is_binary(inner):
        return f"{field.name}.bytes"
    if _is_binary(field.type):
        return str(field.name)
    raise HarnessError(f"{file}: column {field.name} holds {field.type}, not encoded images")


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return kind is not None and (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _labels(file: Path, column: str) -> npt.NDArray[np.int64]:
    """The class numbers (N,) of one file. Raises HarnessError unless all are whole numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = pq.read_table(file, columns=[column])[column]
    if not pa.types.is_integer(values.type):
        raise HarnessError(f"{file}: column {column} holds {values.type}, not class numbers")
    if values.null_count:
        raise HarnessError(f"{file}: {values.null_count} images have no label; use a labelled split")
    return np.asarray(values.to_numpy(), dtype=np.int64)


def _row_groups(files: Sequence[Path]) -> list[RowGroup]:
    import pyarrow.parquet as pq

    groups: list[RowGroup] = []
    start = 0
    for file in files:
        metadata = pq.read_metadata(file)
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            groups.append(RowGroup(file, number, start, rows))
            start += rows
    return groups


def _encoded(groups: Sequence[RowGroup], leaf: str, ascending: npt.NDArray[np.int64]) -> Iterator[Encoded]:
    """The images of ascending indices, reading one row group at a time and only those that are needed."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    column, _, inner = leaf.partition(".")
    for group in groups:
        low, high = np.searchsorted(ascending, [group.start, group.start + group.rows])
        if low == high:
            continue
        rows = ascending[low:high] - group.start
        with pq.ParquetFile(group.file) as file:
            values = file.read_row_group(group.number, columns=[leaf])[column]
        content = pc.struct_field(values, inner) if inner else values
        for row, image in zip(ascending[low:high], content.take(rows).to_pylist(), strict=True):
            if image is None:
                raise HarnessError(f"{group.file}: image {row} is not in the file, only its path; embed the images")
            yield Encoded(f"{group.file}, image {row}", image)


def _class_names(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """The class names of the Hugging Face metadata, or none."""
    information = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    feature = information.get("info", {}).get("features", {}).get(column, {})
    return tuple(feature.get("names") or ())
