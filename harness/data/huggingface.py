"""Image classification data sets of the Hugging Face hub, through its optional library `datasets`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from harness.core.errors import HarnessError, in_one_line
from harness.core.libraries import library
from harness.data import DATASETS, Source, data_path
from harness.data.images import Channels, Encoded, Size, encoded_source

Commit = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
"""The full id of a commit: branches and tags move, and the library's cache does not know them."""


@DATASETS.register("huggingface")
def huggingface(
    path: str,
    split: str = "test",
    config: str | None = None,
    revision: Commit | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    root: str | None = None,
    size: Size | None = None,
    channels: Channels | None = None,
    name: str | None = None,
    download: bool = False,
) -> Source:
    """An image classification data set of the Hugging Face hub, or a folder that its library `datasets` can read.

    Args:
        path: a folder, below `root` unless absolute; or else the id of a data set, such as "uoft-cs/cifar10".
        split: name of the split, or a part of it, such as "train[:1000]".
        config: which of the data set's configurations, where it has several.
        revision: commit of the data set on the hub, in 40 hexadecimal digits; default the newest, or what was
            downloaded last.
        image_column: column of images; default the only one of type Image.
        label_column: column of class numbers; default the only one of type ClassLabel.
        root: directory that holds data; default HARNESS_DATA, else `./data`.
        size: scale the shorter side to this (bilinear, antialiased) and cut out the middle square; "model" for what
            each model asks for; default the images as they are.
        channels: 1 for grey, 3 for RGB; default RGB unless all chosen images are grey.
        name: how reports name the data; default the last part of the path and the split.
        download: fetch what is not in the library's cache.

    Raises:
        HarnessError: without the library, for data that is not there or of another revision, an unknown split,
            configuration or column, and images without labels.
    """
    datasets = library("datasets")
    folder = data_path(root, path)
    where = str(folder) if folder.is_dir() else path
    if not folder.is_dir() and Path(path).is_dir():
        raise HarnessError(
            f"{folder} is no folder, but {path} in the working directory is, which the library would take for it.\n"
            "     write its absolute path to use it; start from another directory to use the hub's data set"
        )
    if folder.is_dir() and revision:
        raise HarnessError(f"{folder} is a folder, which has no revision; remove the key")
    table = _loaded(datasets, where, split, config, revision, download)
    if revision:
        _check_revision(table, path, revision)
    image = _column(table, datasets.Image, image_column, "image_column", where)
    undecoded = _undecoded(table, image, datasets.Image, where)
    label = _column(table, datasets.ClassLabel, label_column, "label_column", where)
    labels = _labels(table, label, where)
    names = getattr(table.features[label], "names", None) or map(str, range(int(labels.max(initial=-1)) + 1))

    def encoded(indices: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        for index in indices:
            yield _encoded(undecoded[int(index)][image], f"{where} ({split}), image {index}")

    return encoded_source(name or f"{Path(path).name} ({split})", labels, tuple(names), encoded, size, channels)


def _loaded(datasets: Any, where: str, split: str, config: str | None, revision: str | None, download: bool) -> Any:
    """The table of a split, memory-mapped. Raises HarnessError when the library cannot load it."""
    try:
        with _offline(datasets.config, not download):
            return datasets.load_dataset(where, config, split=split, revision=revision)
    except Exception as error:  # of any kind: the library reads many formats through as many libraries
        if isinstance(error, ConnectionError) and not download:
            raise HarnessError(
                f"{where} is neither a folder nor in the cache of Hugging Face data sets.\n"
                "     pass --download, or set HARNESS_DATA or the dataset's `root`"
            ) from error
        raise HarnessError(f"{where} cannot be loaded ({type(error).__name__}: {in_one_line(error)})") from error


def _undecoded(table: Any, column: str, image: Any, where: str) -> Any:
    """The column of images alone, as bytes or paths. Raises HarnessError when it holds something else."""
    feature = table.features[column]
    if not isinstance(feature, image):
        if _is_bytes(feature):
            raise HarnessError(_as_bytes(where, column))
        raise HarnessError(f"{where}: column {column} holds {type(feature).__name__}, not images")
    return table.select_columns([column]).cast_column(column, image(decode=False))


def _is_bytes(feature: Any) -> bool:
    """Whether a column holds encoded images that no one has declared to be images, as Parquet files often do."""
    return isinstance(feature, dict) and "bytes" in feature


def _as_bytes(where: str, column: str) -> str:
    """What to do about such a column."""
    return (
        f"{where}: column {column} holds the bytes of images without saying that they are images.\n"
        '     write id = "parquet", which reads such files from a folder'
    )


def _encoded(stored: Mapping[str, Any] | None, where: str) -> Encoded:
    """An undecoded image: its bytes, or else the path of its file."""
    content, file = (stored or {}).get("bytes"), (stored or {}).get("path")
    if content is None and file is None:
        raise HarnessError(f"{where} is missing")
    return Encoded(where, Path(str(file)) if content is None else content)


@contextmanager
def _offline(config: Any, offline: bool) -> Iterator[None]:
    """Put the library into its offline mode, which it otherwise reads from the environment, once."""
    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = offline or before
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _check_revision(table: Any, path: str, revision: str) -> None:
    """Offline, the library gives what was cached last. Its folders are named by their commits."""
    for folder in sorted({Path(file["filename"]).parent for file in table.cache_files}):
        if folder.name != revision:
            is_there = (folder.parent / revision).is_dir()
            raise HarnessError(
                f"{path}: without the hub, the library opens the revision that was cached last, {folder.name}, "
                f"not {revision}.\n     pass --download" + (f", or move {folder} elsewhere" if is_there else "")
            )


def _column(table: Any, kind: type, asked: str | None, key: str, where: str) -> str:
    """The column that a key names, or else the only one of its kind."""
    known: list[str] = list(table.features)
    if asked is not None and asked not in known:
        raise HarnessError(f"{where} has no column {asked}; its columns: {', '.join(known)}")
    if asked is not None:
        return asked
    found = [column for column in known if isinstance(table.features[column], kind)]
    undeclared = [column for column in known if key == "image_column" and _is_bytes(table.features[column])]
    if undeclared and not found:
        raise HarnessError(_as_bytes(where, undeclared[0]))
    if len(found) != 1:
        seen = ", ".join(found or known)
        raise HarnessError(
            f"{where} has {len(found) or 'no'} columns of type {kind.__name__}; say which to use as `{key}`: {seen}"
        )
    return found[0]


def _labels(table: Any, column: str, where: str) -> npt.NDArray[np.int64]:
    """The class numbers (N,). Raises HarnessError unless all are whole numbers."""
    feature = table.features[column]
    if not str(getattr(feature, "dtype", "")).startswith(("int", "uint")):
        raise HarnessError(f"{where}: column {column} holds {type(feature).__name__}, not class numbers")
    values = np.asarray(table.select_columns([column]).with_format("numpy")[:][column])
    if values.dtype.kind not in "iu":
        raise HarnessError(f"{where}: some images have no {column}; use a labelled split")
    return values.astype(np.int64)
