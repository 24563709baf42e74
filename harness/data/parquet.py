"""Parquet files in the Hugging Face layout: encoded images in one column, class numbers in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError
from harness.data import DATASETS, Source, data_path
from harness.data.images import Channels, Encoded, Size, encoded_source
from harness.data.parquet_columns import check_same, class_names_of, columns_of, labels_of, reading, schema_of
from harness.data.parquet_files import files_of


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
    schemas = [schema_of(file) for file in files]
    columns = [columns_of(file, schema) for file, schema in zip(files, schemas, strict=True)]
    check_same(files, columns)
    leaf, label = columns[0]
    labels = np.concatenate([labels_of(file, label) for file in files])
    classes = class_names_of(files[0], schemas[0].metadata, label)
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


def _row_groups(files: Sequence[Path]) -> list[RowGroup]:
    import pyarrow.parquet as pq

    groups: list[RowGroup] = []
    start = 0
    for file in files:
        with reading(file):
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
        with reading(group.file), pq.ParquetFile(group.file) as file:
            values = file.read_row_group(group.number, columns=[leaf])[column]
            content = pc.struct_field(values, inner) if inner else values
            # Views of bytes know no `take`.
            images = content.cast(pa.large_binary()).take(rows).to_pylist()
        for row, image in zip(ascending[low:high], images, strict=True):
            if image is None:
                raise HarnessError(f"{group.file}: image {row} is not in the file, only its path; embed the images")
            yield Encoded(f"{group.file}, image {row}", image)
