"""The store: a content-addressed folder of records, shared by all suites.

    <store>/records/<first two of id>/<id>/record.json        the question, where it came from, aggregate values
                                           outcomes.parquet   what happened to every sample
    <store>/images/<first two of id>/<id>/*.safetensors       adversarial images, where they are kept
    <store>/partial/<id>/<number>.parquet                     finished batches of an unfinished cell
    <store>/failures/<id>.txt                                 why a cell has no record; retried by the next run

Every file is written under a temporary name and renamed, so that a kill leaves whole files only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from harness.core.errors import HarnessError, in_one_line
from harness.store.files import read_parquet, write_bytes, write_parquet, write_text, writing
from harness.store.images import KeptImages
from harness.store.record import CARRIED, OUTCOME_COLUMNS, SCHEMA_VERSION, ModelDescription, Question, Record

__all__ = ["CARRIED", "OUTCOME_COLUMNS", "SCHEMA_VERSION", "ModelDescription", "Question", "Record", "Store"]


class Store:
    """A folder of records."""

    def __init__(self, path: str | Path | None = None) -> None:
        """`path`: default HARNESS_STORE, else `.harness`."""
        self.path = Path(path or os.environ.get("HARNESS_STORE") or ".harness")

    def __contains__(self, id: object) -> bool:
        """Whether the cell is finished."""
        return (self._folder(str(id)) / "record.json").exists()

    def open(self) -> None:
        """Make the folder. Raises HarnessError when no record can be written there."""
        probe = self.path / "records" / f"probe.{os.getpid()}"
        with writing(self.path):
            # Permissions say too little: a disk may be full, or mounted to be read only.
            write_bytes(probe, b"?")
            probe.unlink()

    def read(self, id: str) -> Record:
        """A finished cell's record. Raises HarnessError when it is missing, damaged or of another schema."""
        path = self._folder(id) / "record.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = content.get("schema_version") if isinstance(content, dict) else None
            if version in (None, SCHEMA_VERSION):
                return Record.model_validate(content)
        except (OSError, ValueError, ValidationError) as error:
            raise damaged(path, error) from None
        raise HarnessError(
            f"record {path} has schema {version!r}, this version of harness reads {SCHEMA_VERSION}.\n"
            "     delete the store, or name another one with --store or HARNESS_STORE"
        )

    def outcomes(self, id: str) -> pd.DataFrame:
        """A finished cell's samples in ascending order of index; columns as in `OUTCOME_COLUMNS`.

        Raises:
            HarnessError: when they are missing or damaged, or are not those of the record.
        """
        path, n = self._folder(id) / "outcomes.parquet", self.read(id).n
        try:
            outcomes = read_parquet(path)
            if lacking := [column for column in OUTCOME_COLUMNS if column not in outcomes]:
                raise ValueError(f"it lacks {', '.join(lacking)}")
            if len(outcomes) != n:
                raise ValueError(f"it has {len(outcomes)} of {n} samples")
        except (OSError, ValueError) as error:  # pyarrow's errors are among these
            raise damaged(path, error) from None
        return outcomes

    def write(self, record: Record, outcomes: pd.DataFrame) -> None:
        """File a finished cell and drop its partial batches and old failure.

        Raises:
            HarnessError: when it cannot be written; nothing half written is left then.
        """
        # Outside `records`, so that what a kill leaves behind is never taken for a record.
        temporary = self.path / "temporary" / f"{record.id}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        with writing(self.path):
            try:
                write_parquet(temporary / "outcomes.parquet", outcomes.sort_values("index", ignore_index=True))
                write_text(temporary / "record.json", record.model_dump_json(indent=1) + "\n")
                self._file(record.id, temporary)
            except OSError:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            self.discard(record.id)
            self.failure_path(record.id).unlink(missing_ok=True)

    def partial(self, id: str) -> pd.DataFrame | None:
        """The finished batches of an unfinished cell; None when there are none.

        A batch that cannot be read is deleted: it is computed again, as if it had not been finished.
        """
        batches = list(self._readable_batches(id))
        return pd.concat(batches, ignore_index=True) if batches else None

    def append(self, id: str, outcomes: pd.DataFrame) -> None:
        """Keep finished batches of an unfinished cell; of one that another process has finished, none are needed.

        Raises:
            HarnessError: when they cannot be written.
        """
        numbers = [int(file.stem) for file in self._partial(id).glob("*.parquet")]
        try:
            with writing(self.path):
                write_parquet(self._partial(id) / f"{max(numbers, default=-1) + 1:06d}.parquet", outcomes)
        except HarnessError:
            # Whoever finishes a cell drops its batches, the folder below our feet included.
            if id not in self:
                raise

    def discard(self, id: str) -> None:
        """Drop the finished batches of a cell."""
        shutil.rmtree(self._partial(id), ignore_errors=True)

    def fail(self, id: str, reason: str) -> None:
        """Remember why a cell has no record, unless another process has filed one; the first line says it in short.

        Where that cannot be written, such as on a full disk, it is not remembered: what failed has been told already.
        """
        with suppress(OSError):
            write_text(self.failure_path(id), reason + "\n")
            # Afterwards, so that of two processes at once one or the other removes it.
            if id in self:
                self.failure_path(id).unlink(missing_ok=True)

    def failure(self, id: str) -> str | None:
        """Why a cell has no record, if it was tried and failed."""
        path = self.failure_path(id)
        return path.read_text(encoding="utf-8").strip() if path.exists() else None

    def failure_path(self, id: str) -> Path:
        """The file that says why a cell has no record."""
        return self.path / "failures" / f"{id}.txt"

    def images(self, id: str) -> KeptImages:
        """The adversarial images of a crafting, as far as they were kept."""
        return KeptImages(self.path / "images" / id[:2] / id)

    def records(self) -> list[Record]:
        """Every finished record."""
        return [self.read(path.parent.name) for path in sorted(self.path.glob("records/*/*/record.json"))]

    def _file(self, id: str, temporary: Path) -> None:
        """Put a whole record in its place. Raises OSError when that cannot be done."""
        folder = self._folder(id)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.replace(folder)
        except OSError:
            # Another process has filed the cell meanwhile; its record answers the same question.
            if id not in self:
                raise
            shutil.rmtree(temporary, ignore_errors=True)

    def _readable_batches(self, id: str) -> Iterator[pd.DataFrame]:
        for file in sorted(self._partial(id).glob("*.parquet")):
            try:
                batch = read_parquet(file)
            except (OSError, ValueError):
                file.unlink(missing_ok=True)
                continue
            yield batch

    def _folder(self, id: str) -> Path:
        return self.path / "records" / id[:2] / id

    def _partial(self, id: str) -> Path:
        return self.path / "partial" / id


def damaged(path: Path, error: Exception) -> HarnessError:
    """What to do about a file of a record that cannot be read."""
    return HarnessError(
        f"{path} cannot be read: {in_one_line(error)}.\n"
        f"     to have the cell computed again, delete the folder {path.parent}"
    )
