"""Where Parquet files of the Hugging Face layout hold images, class numbers and class names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError, in_one_line

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")


class Columns(NamedTuple):
    """Where a file holds what is needed."""

    leaf: str
    """Path of the column of bytes."""
    label: str
    """Column of class numbers."""


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Errors of damaged or unreadable files as a HarnessError."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise HarnessError(
            f"{file} cannot be read ({in_one_line(error)}).\n     fetch it again, or let it be read"
        ) from error


def schema_of(file: Path) -> Any:
    """What a file says about its columns."""
    import pyarrow.parquet as pq

    with reading(file):
        return pq.read_schema(file)


def columns_of(file: Path, schema: Any) -> Columns:
    """Where a file holds images and class numbers. Raises HarnessError when it does not."""
    image = _column(file, schema.names, IMAGE_COLUMNS)
    return Columns(_encoded_leaf(file, schema.field(image)), _column(file, schema.names, LABEL_COLUMNS))


def check_same(files: Sequence[Path], columns: Sequence[Columns]) -> None:
    """Raise HarnessError unless all files hold them in the same columns."""
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


def labels_of(file: Path, column: str) -> npt.NDArray[np.int64]:
    """The class numbers (N,) of one file. Raises HarnessError unless all are whole numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with reading(file):
        values = pq.read_table(file, columns=[column])[column]
    if not pa.types.is_integer(values.type):
        raise HarnessError(f"{file}: column {column} holds {values.type}, not class numbers")
    if values.null_count:
        raise HarnessError(f"{file}: {values.null_count} images have no label; use a labelled split")
    return np.asarray(values.to_numpy(), dtype=np.int64)


def class_names_of(file: Path, metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """The class names of the Hugging Face metadata, or none. Raises HarnessError when it is none of theirs."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        names = features.get(column, {}).get("names") or []
    except (ValueError, AttributeError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise HarnessError(f'{file}: its metadata "huggingface" does not tell the classes; write the file without it')
    return tuple(names)
