"""The store keeps what was computed, whole or not at all, and says what it cannot read."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cells import Cells, cells_path, read_cells, write_cells
from harness.core.errors import HarnessError
from harness.store import OUTCOME_COLUMNS, ModelDescription, Question, Record, Store

MODEL = ModelDescription(id="zoo:x", fingerprint="f", norm="bn", norm_layers={"bn": 3}, parameters=10)
QUESTION = Question(mode="clean", target="f", surrogate="f", dataset="d")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def outcomes(*indices: int) -> pd.DataFrame:
    """Outcomes of a few samples, in the types in which they are computed, not those in which they are kept."""
    frame = pd.DataFrame({"index": indices})
    for column in ("label", "wanted", "clean_prediction", "adversarial_prediction", "passes"):
        frame[column] = [index % 10 for index in indices]
    return frame.assign(success=False, linf=0.25, l2=0.5, l1=2.0, zero_gradient=True, member=-1)


def record(question: Question = QUESTION, **changes: object) -> Record:
    fields: dict[str, object] = {
        "id": question.id, "question": question, "target": MODEL, "surrogate": MODEL, "dataset": "digits", "n": 3,
        "values": {"clean_accuracy": 1.0}, "flags": {"zero_gradient": 3}, "environment": {"device": "cpu"},
        "wall_seconds": 0.5, "created": "2025-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Record.model_validate({**fields, **changes})


def folder_of(store: Store, id: str) -> Path:
    return store.path / "records" / id[:2] / id


def test_a_record_is_read_back_as_it_was_written(store: Store) -> None:
    written = record(passed={"steps": 3, "step_size": "eps/10"})
    store.write(written, outcomes(4, 2, 9))
    assert written.id in store
    assert store.read(written.id) == written
    assert store.records() == [written]


def test_outcomes_are_read_back_in_ascending_order_and_in_the_documented_types(store: Store) -> None:
    store.write(record(), outcomes(4, 2, 9))
    read = store.outcomes(QUESTION.id)
    assert list(read["index"]) == [2, 4, 9]
    assert {column: str(kind) for column, kind in read.dtypes.items()} == OUTCOME_COLUMNS
    assert list(read["label"]) == [2, 4, 9]
    assert pq.read_schema(folder_of(store, QUESTION.id) / "outcomes.parquet").names == list(OUTCOME_COLUMNS)


def test_a_record_lies_where_the_first_page_of_the_store_says(store: Store) -> None:
    store.write(record(), outcomes(1))
    files = sorted(str(path.relative_to(store.path)) for path in store.path.rglob("*") if path.is_file())
    id = QUESTION.id
    assert files == [f"records/{id[:2]}/{id}/outcomes.parquet", f"records/{id[:2]}/{id}/record.json"]


def test_a_record_that_is_written_again_replaces_the_old_one(store: Store) -> None:
    store.write(record(), outcomes(1))
    store.write(record(n=2), outcomes(1, 2))
    assert store.read(QUESTION.id).n == 2
    assert len(store.outcomes(QUESTION.id)) == 2


def test_the_folder_is_the_given_one_or_that_of_the_environment_or_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_STORE", raising=False)
    assert Store().path == Path(".harness")
    monkeypatch.setenv("HARNESS_STORE", str(tmp_path / "named"))
    assert Store().path == tmp_path / "named"
    assert Store(tmp_path / "given").path == tmp_path / "given"


def test_a_store_that_cannot_be_made_says_how_to_name_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match="--store or HARNESS_STORE"):
        Store(tmp_path / "file").open()


# --- unfinished cells -------------------------------------------------------------------------------------------


def test_finished_batches_of_an_unfinished_cell_are_kept_in_their_order(store: Store) -> None:
    assert store.partial("x") is None
    store.append("x", outcomes(5, 3))
    store.append("x", outcomes(8))
    kept = store.partial("x")
    assert kept is not None
    assert list(kept["index"]) == [5, 3, 8]
    assert "x" not in store


def test_a_finished_cell_drops_its_batches_and_its_old_failure(store: Store) -> None:
    store.append(QUESTION.id, outcomes(1))
    store.fail(QUESTION.id, "out of memory")
    assert store.failure(QUESTION.id) == "out of memory"
    store.write(record(), outcomes(1))
    assert store.partial(QUESTION.id) is None
    assert store.failure(QUESTION.id) is None


def test_a_cell_that_another_process_finishes_loses_its_batches_without_a_failure(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, write_table = Store(store.path), pq.write_table

    def finished_meanwhile(table: pa.Table, path: Path) -> None:
        monkeypatch.setattr(pq, "write_table", write_table)
        other.write(record(), outcomes(1))
        write_table(table, path)

    monkeypatch.setattr(pq, "write_table", finished_meanwhile)
    store.append(QUESTION.id, outcomes(1))
    assert store.partial(QUESTION.id) is None
    store.fail(QUESTION.id, "too late")
    assert store.failure(QUESTION.id) is None


def test_a_batch_that_cannot_be_kept_is_an_error(store: Store) -> None:
    store.path.mkdir()
    (store.path / "partial").write_text("a file where the folder should be")
    with pytest.raises(HarnessError, match="cannot be written: Not a directory"):
        store.append(QUESTION.id, outcomes(1))


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    """From now on half of every file fits."""

    def write_half(table: pa.Table, path: Path) -> None:
        path.write_bytes(b"half")

    def write_half_a_text(self: Path, text: str, encoding: str) -> None:
        self.write_bytes(b"half")

    def write_half_a_file(self: Path, content: bytes) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "no room, says a library")

    patch.setattr(Path, "write_bytes", write_half_a_file)
    patch.setattr(Path, "write_text", write_half_a_text)
    patch.setattr(pq, "write_table", write_half)


def test_a_full_disk_is_an_error_in_words_and_leaves_nothing_half_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = {"index": np.array([1]), "adversarial": np.zeros((1, 1, 2, 2), dtype=np.float32)}
    fill_the_disk(monkeypatch)
    message = r"cannot be written: No space left on device\.\n +free space, or name another folder with --store"
    for write in (
        store.open, lambda: store.write(record(), outcomes(1)), lambda: store.append("x", outcomes(1)),
        lambda: store.images("x").append(image),
    ):  # fmt: skip
        with pytest.raises(HarnessError, match=message):
            write()
    store.fail(QUESTION.id, "no room")
    assert not [path for path in store.path.rglob("*") if path.is_file()]
    assert not list((store.path / "temporary").iterdir())


def test_a_store_whose_records_cannot_be_written_is_refused_when_it_is_opened(store: Store) -> None:
    store.open()
    assert list((store.path / "records").iterdir()) == []
    (store.path / "records").rmdir()
    (store.path / "records").write_text("a file where the folder should be")
    with pytest.raises(HarnessError, match="--store or HARNESS_STORE"):
        store.open()


def test_of_two_processes_that_file_one_cell_the_first_stands(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other, rename = Store(store.path), Path.replace

    def filed_meanwhile(self: Path, target: Path) -> Path:
        if target == folder_of(store, QUESTION.id):
            monkeypatch.setattr(Path, "replace", rename)
            self.rename(self.with_name("mine"))
            other.write(record(wall_seconds=2), outcomes(1))
            self.with_name("mine").rename(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", filed_meanwhile)
    store.write(record(), outcomes(1))
    assert store.read(QUESTION.id).wall_seconds == 2
    assert list((store.path / "temporary").iterdir()) == []


def test_what_a_kill_leaves_half_written_is_no_batch(store: Store) -> None:
    store.append("x", outcomes(1))
    (store.path / "partial" / "x" / ".000001.parquet.123.tmp").write_bytes(b"PAR1 half a file")
    store.append("x", outcomes(2))
    kept = store.partial("x")
    assert kept is not None
    assert list(kept["index"]) == [1, 2]


def test_a_kill_before_the_last_rename_leaves_no_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target == folder_of(store, QUESTION.id):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write(record(), outcomes(1))
    assert list(store.path.rglob("record.json"))
    assert QUESTION.id not in store
    assert store.records() == []
    store.write(record(), outcomes(1))
    assert store.records() == [record()]


def test_a_damaged_batch_is_dropped_and_the_others_survive_further_batches(store: Store) -> None:
    for index in (1, 2, 3):
        store.append("x", outcomes(index))
    damaged = sorted((store.path / "partial" / "x").glob("*.parquet"))[1]
    damaged.write_bytes(damaged.read_bytes()[:100])
    kept = store.partial("x")
    assert kept is not None
    assert list(kept["index"]) == [1, 3]
    store.append("x", outcomes(4))
    again = store.partial("x")
    assert again is not None
    assert list(again["index"]) == [1, 3, 4]


def test_discarded_batches_are_gone(store: Store) -> None:
    store.append("x", outcomes(1))
    store.discard("x")
    store.discard("x")
    assert store.partial("x") is None


# --- what cannot be read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"schema_version": 2}', b'{"schema_version": 2, "unknown": 2}'],
    ids=["empty", "cut off", "no table", "no text", "lacks fields", "unknown field"],
)  # fmt: skip
def test_a_damaged_record_says_which_folder_to_delete(content: bytes, store: Store) -> None:
    store.write(record(), outcomes(1))
    folder = folder_of(store, QUESTION.id)
    (folder / "record.json").write_bytes(content)
    with pytest.raises(HarnessError, match="cannot be read") as raised:
        store.read(QUESTION.id)
    assert f"delete the folder {folder}" in str(raised.value)


def test_a_record_of_another_schema_is_refused_by_its_number(store: Store) -> None:
    store.write(record(schema_version=3), outcomes(1))
    with pytest.raises(HarnessError, match="has schema 3, this version of harness reads 2"):
        store.read(QUESTION.id)
    (folder_of(store, QUESTION.id) / "record.json").write_text('{"schema_version": "2"}')
    with pytest.raises(HarnessError, match="has schema '2', this version of harness reads 2"):
        store.read(QUESTION.id)


def test_damaged_or_missing_outcomes_say_which_folder_to_delete(store: Store) -> None:
    store.write(record(), outcomes(1))
    file = folder_of(store, QUESTION.id) / "outcomes.parquet"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(HarnessError, match="delete the folder"):
        store.outcomes(QUESTION.id)
    file.unlink()
    with pytest.raises(HarnessError, match="delete the folder"):
        store.outcomes(QUESTION.id)


def test_outcomes_that_disagree_with_their_record_are_damaged(store: Store) -> None:
    store.write(record(n=2), outcomes(1, 2))
    file = folder_of(store, QUESTION.id) / "outcomes.parquet"
    whole = pd.read_parquet(file)
    whole.iloc[:1].to_parquet(file)
    with pytest.raises(HarnessError, match=r"it has 1 of 2 samples[^$]*delete the folder"):
        store.outcomes(QUESTION.id)
    whole.drop(columns=["label", "l2"]).to_parquet(file)
    with pytest.raises(HarnessError, match=r"it lacks label, l2[^$]*delete the folder"):
        store.outcomes(QUESTION.id)


# --- cells of a suite -------------------------------------------------------------------------------------------

CELLS = Cells(suite="a.b", models=[], datasets=[], cells=[])


def test_the_cells_of_a_suite_are_read_back(store: Store) -> None:
    write_cells(store, CELLS)
    assert read_cells(store, "a.b") == CELLS
    assert [path.name for path in cells_path(store, "a.b").parent.iterdir()] == ["a.b.json"]


def test_a_suite_that_was_never_run_says_so(store: Store) -> None:
    with pytest.raises(HarnessError, match=r"never run with the store .*\n +run it"):
        read_cells(store, "a.b")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"suite": "a.b"}'])
def test_damaged_cells_say_that_a_run_makes_them_anew(content: str, store: Store) -> None:
    write_cells(store, CELLS)
    cells_path(store, "a.b").write_text(content)
    with pytest.raises(HarnessError, match="run the suite again"):
        read_cells(store, "a.b")
