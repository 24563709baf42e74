"""Parquet files in the Hugging Face layout: encoded images in one column, class numbers in another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError, in_one_line
from harness.data import DATASETS, Source, data_path
from harness.data.images import Channels, Encoded, Size, encoded_source
from harness.data.parquet_files import files_of

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
    """Parquet files of encoded images (Hugging Face layout), whole or in shards: <root>/<path>/<split>*.parquet.

    Args:
        path: folder of the files, below `root` unless absolute.
        split: file name without `.parquet`, or the part before the number (`test-00000-of-00001.parquet`).
        root: directory that holds data; default HARNESS_DATA, else `./data`.
        name: how reports name the data; default the folder's name and the split.
        size: scale the shorter side to this (bilinear, antialiased) and cut out the middle square; "model" for what
            each model asks for.
        channels: 1 for grey, 3 for RGB; default RGB unless all chosen images are grey.

    Raises:
        HarnessError: when there is no such folder, split or column, a shard is missing or there twice, a file is
            damaged, or images have no label.
    """
    files = files_of(data_path(root, path), split)
    schemas = [_schema(file) for file in files]
    columns = [_columns(file, schema) for file, schema in zip(files, schemas, strict=True)]
    _check_same(files, columns)
    leaf, label = columns[0]
    labels = np.concatenate([_labels(file, label) for file in files])
    classes = _class_names(files[0], schemas[0].metadata, label)
    classes = classes or tuple(map(str, range(int(labels.max(initial=-1)) + 1)))
    groups = _row_groups(files)

    def encoded(indices: npt.NDArray[np.int64]) -> Iterable[Encoded]:
        ascending = np.sort(indices)
        images = _encoded(groups, leaf, ascending)
        if np.array_equal(ascending, indices):
            return images
        held = list(images)
        return (held[position] for position in np.searchsorted(ascending, indices))

    return encoded_source(name or f"{Path(path).name} ({split})", labels, classes, encoded, size, channels)


class _Columns(NamedTuple):
    """Where a file holds what is needed."""

    leaf: str
    """Path of the column of bytes."""
    label: str
    """Column of class numbers."""


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Errors of damaged or unreadable files as a HarnessError."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise HarnessError(
            f"{file} cannot be read ({in_one_line(error)}).\n     fetch it again, or let it be read"
        ) from error


def _schema(file: Path) -> Any:
    import pyarrow.parquet as pq

    with _reading(file):
        return pq.read_schema(file)


def _columns(file: Path, schema: Any) -> _Columns:
    image = _column(file, schema.names, IMAGE_COLUMNS)
    return _Columns(_encoded_leaf(file, schema.field(image)), _column(file, schema.names, LABEL_COLUMNS))


def _check_same(files: Sequence[Path], columns: Sequence[_Columns]) -> None:
    for file, found in zip(files, columns, strict=True):
        if found != columns[0]:
            raise HarnessError(
                f"{file} has {found.leaf} and {found.label}, {files[0].name} has {columns[0].leaf} and "
                f"{columns[0].label}; fetch all files of one upload"
            )


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

    with _reading(file):
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
        with _reading(file):
            metadata = pq.read_metadata(file)
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            groups.append(RowGroup(file, number, start, rows))
            start += rows
    return groups


def _encoded(groups: Sequence[RowGroup], leaf: str, ascending: npt.NDArray[np.int64]) -> Iterator[Encoded]:
    """The images of ascending indices, reading one row group at a time and only those that are needed."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    column, _, inner = leaf.partition(".")
    for group in groups:
        low, high = np.searchsorted(ascending, [group.start, group.start + group.rows])
        if low == high:
            continue
        rows = ascending[low:high] - group.start
        with _reading(group.file), pq.ParquetFile(group.file) as file:
            values = file.read_row_group(group.number, columns=[leaf])[column]
            content = pc.struct_field(values, inner) if inner else values
            # Views of bytes know no `take`.
            images = content.cast(pa.large_binary()).take(rows).to_pylist()
        for row, image in zip(ascending[low:high], images, strict=True):
            if image is None:
                raise HarnessError(f"{group.file}: image {row} is not in the file, only its path; embed the images")
            yield Encoded(f"{group.file}, image {row}", image)


def _class_names(file: Path, metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """The class names of the Hugging Face metadata, or none. Raises HarnessError when it is none of theirs."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        names = features.get(column, {}).get("names") or []
    except (ValueError, AttributeError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise HarnessError(f'{file}: its metadata "huggingface" does not tell the classes; write the file without it')
    return tuple(names)
