"""Which parquet files are those of a split."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.data.parquet_files import files_of

HASH, OTHER_HASH = "0a1b2c3d4e5f6071", "ffb2c3d4e5f60710"


def names(folder: Path, *there: str, split: str = "test") -> list[str]:
    """Names of the split's files, when these are there."""
    for name in there:
        (folder / f"{name}.parquet").touch()
    return [file.stem for file in files_of(folder, split)]


def test_a_whole_file_is_the_split(tmp_path: Path) -> None:
    assert names(tmp_path, "test", "train") == ["test"]


def test_shards_are_sorted_by_their_numbers_whether_padded_or_not(tmp_path: Path) -> None:
    shards = [f"test-{number}-of-11" for number in range(11)]
    assert names(tmp_path, *shards) == shards


def test_shards_may_end_in_a_hash_each_and_count_from_one(tmp_path: Path) -> None:
    shards = [f"test-00001-of-00002-{OTHER_HASH}", f"test-00002-of-00002-{HASH}"]
    assert names(tmp_path, *shards) == shards


def test_files_of_other_splits_and_copies_are_not_read(tmp_path: Path) -> None:
    others = ["test-extra-00000-of-00001", "test-00000-of-00001-copy", "test-old", "a-test-00000-of-00001"]
    assert names(tmp_path, "test-00000-of-00001", *others) == ["test-00000-of-00001"]
    assert names(tmp_path, split="test-extra") == ["test-extra-00000-of-00001"]


@pytest.mark.parametrize(
    "there",
    [
        ["test-00000-of-00001", "test-00000-of-00002", "test-00001-of-00002"],
        [f"test-00000-of-00001-{HASH}", f"test-00000-of-00001-{OTHER_HASH}"],
        ["test-00000-of-00001", f"test-00000-of-00001-{HASH}"],
    ],
)
def test_files_of_two_uploads_are_an_error_that_names_them(tmp_path: Path, there: list[str]) -> None:
    with pytest.raises(HarnessError, match="more than one upload") as caught:
        names(tmp_path, *there)
    assert all(f"{name}.parquet" in str(caught.value) for name in there)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (["test-00000-of-00003"], r"1 of the 3 files of split test are there \(0\)"),
        (["test-00000-of-00003", "test-00002-of-00003"], r"2 of the 3 files .* \(0, 2\)"),
        (["test-00000-of-00002", "test-00000-of-00002-copy"], "1 of the 2 files"),
    ],
)
def test_a_missing_shard_is_an_error(tmp_path: Path, there: list[str], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        names(tmp_path, *there)


def test_a_whole_file_beside_shards_of_the_same_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="remove one of the two"):
        names(tmp_path, "test", "test-00000-of-00001")


@pytest.mark.parametrize("split", ["test", "t*", "/test"])
def test_a_missing_split_is_an_error_that_lists_what_is_there(tmp_path: Path, split: str) -> None:
    with pytest.raises(HarnessError, match=r"in .* \(there: test-extra\.parquet, train\.parquet\)"):
        names(tmp_path, "train", "test-extra", split=split)


def test_a_missing_folder_is_an_error_that_tells_where_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there: no parquet file(.|\n)*HARNESS_DATA"):
        names(tmp_path / "gone")
