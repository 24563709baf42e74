"""Data sets that the library `datasets` reads, from folders and from its cache."""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry
from harness.data.huggingface import huggingface
from harness.data.load import load_dataset

COMMIT, OTHER_COMMIT = "a1" * 20, "b2" * 20

PETS = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog", "cow"])})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and no way to the hub."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def png(level: int, size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder: Path, columns: dict[str, list[Any]], features: Any = PETS, split: str = "test") -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(columns, features=features)
    table.to_parquet(folder / f"data/{split}-00000-of-00001.parquet")


def pets(levels: list[int], labels: list[int | None]) -> dict[str, list[Any]]:
    return {"picture": [{"bytes": png(level), "path": None} for level in levels], "kind": list(labels)}


def put_into_cache(tmp_path: Path, cache: Path, levels: list[int], commit: str) -> None:
    """What a download of "some/pets" leaves behind, by way of a local folder."""
    write(tmp_path / "made/pets", pets(levels, [0] * len(levels)))
    datasets.load_dataset(str(tmp_path / "made/pets"))
    (version,) = (cache / "pets/default").iterdir()
    (prepared,) = (entry for entry in version.iterdir() if entry.is_dir())
    target = cache / "some___pets/default/0.0.0" / commit
    target.parent.mkdir(parents=True)
    prepared.rename(target)


def levels(images: Any) -> list[int]:
    """The red level of every image: how the tests tell them apart."""
    return [int(level) for level in images[:, 0, 0, 0]]


def test_images_labels_classes_and_name_are_read_from_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "pets", pets([5, 6, 7], [2, 0, 1]))
    source = huggingface("pets", root=str(tmp_path))
    assert source.labels.tolist() == [2, 0, 1]
    assert source.labels.dtype == np.int64
    assert source.classes == ("cat", "dog", "cow")
    assert source.name == "pets (test)"
    assert source.read(np.arange(3)).shape == (3, 3, 6, 8)
    assert levels(source.read(np.array([2, 0]))) == [7, 5]


def test_folders_of_image_files_are_read(tmp_path: Path) -> None:
    for kind, level in (("dog", 20), ("cat", 10)):
        file = tmp_path / "files/train" / kind / "a.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(png(level))
    dataset = load_dataset("huggingface", {"path": str(tmp_path / "files"), "split": "train"})
    assert dataset.classes == ("cat", "dog")
    assert dict(zip(dataset.labels.tolist(), levels(dataset.images), strict=True)) == {0: 10, 1: 20}


def test_only_the_chosen_images_are_decoded(tmp_path: Path) -> None:
    columns = pets([1, 2], [0, 1])
    columns["picture"][0] = {"bytes": b"damaged", "path": None}
    write(tmp_path / "pets", columns)
    source = huggingface("pets", root=str(tmp_path))
    assert levels(source.read(np.array([1]))) == [2]
    with pytest.raises(HarnessError, match=r"pets \(test\), image 0: not a readable image"):
        source.read(np.array([0]))


def test_an_image_that_is_missing_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "pets", {**pets([1, 2], [0, 1]), "picture": [None, {"bytes": png(2), "path": None}]})
    with pytest.raises(HarnessError, match=r"pets \(test\), image 0 is missing"):
        huggingface("pets", root=str(tmp_path)).read(np.array([0]))


def test_images_come_in_the_size_that_is_asked_for(tmp_path: Path) -> None:
    columns = pets([1, 2], [0, 1])
    columns["picture"][0]["bytes"] = png(1, (40, 30))
    write(tmp_path / "pets", columns)
    keys = {"path": str(tmp_path / "pets")}
    with pytest.raises(HarnessError, match="set the dataset's `size`"):
        load_dataset("huggingface", keys)
    assert load_dataset("huggingface", {**keys, "size": 5, "channels": 1}).images.shape == (2, 1, 5, 5)
    fitted = load_dataset("huggingface", {**keys, "size": "model"}, geometry=Geometry(8, 4, 6))
    assert fitted.images.shape == (2, 3, 4, 6)


def test_a_part_of_a_split_may_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "pets", pets([1, 2, 3, 4], [0, 1, 2, 0]))
    source = huggingface("pets", split="test[1:3]", root=str(tmp_path))
    assert source.labels.tolist() == [1, 2]
    assert levels(source.read(np.arange(2))) == [2, 3]


def test_of_several_label_columns_one_must_be_named(tmp_path: Path) -> None:
    features = datasets.Features(
        {**PETS, "coarse": datasets.ClassLabel(names=["animal"]), "number": datasets.Value("int32")}
    )
    write(tmp_path / "pets", {**pets([1, 2], [0, 1]), "coarse": [0, 0], "number": [1, 3]}, features)
    root = str(tmp_path)
    with pytest.raises(HarnessError, match="2 columns of type ClassLabel; say which to use as `label_column`: kind"):
        huggingface("pets", root=root)
    assert huggingface("pets", root=root, label_column="coarse").classes == ("animal",)
    numbered = huggingface("pets", root=root, label_column="number", image_column="picture")
    assert numbered.classes == ("0", "1", "2", "3")
    assert numbered.labels.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"label_column": "sort"}, "has no column sort; its columns: picture, kind"),
        ({"label_column": "picture"}, "column picture holds Image, not class numbers"),
        ({"image_column": "kind"}, "column kind holds ClassLabel, not images"),
        ({"split": "val"}, r"cannot be loaded \(ValueError: Unknown split"),
        ({"config": "small"}, "cannot be loaded .*'small' not found"),
        ({"revision": COMMIT}, "is a folder, which has no revision"),
        ({"revision": "main"}, "revision: string should match pattern"),
    ],
)
def test_keys_that_do_not_fit_are_errors(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    write(tmp_path / "pets", pets([1, 2], [0, 1]))
    with pytest.raises(HarnessError, match=message):
        load_dataset("huggingface", {"path": "pets", "root": str(tmp_path), **keys})


@pytest.mark.parametrize("keys", [{}, {"image_column": "picture"}])
def test_bytes_that_are_not_declared_to_be_images_are_told_to_be_read_as_parquet(
    keys: dict[str, str], tmp_path: Path
) -> None:
    undeclared = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    write(tmp_path / "pets", pets([1, 2], [0, 1]), datasets.Features({**PETS, "picture": undeclared}))
    with pytest.raises(HarnessError, match=r'column picture holds the bytes of images[^$]*write id = "parquet"'):
        huggingface("pets", root=str(tmp_path), **keys)


@pytest.mark.parametrize(
    ("labels", "message"), [([None, 1], "some images have no kind"), ([-1, -1], "label -1 is negative")]
)
def test_unlabelled_images_are_an_error(tmp_path: Path, labels: list[int | None], message: str) -> None:
    write(tmp_path / "pets", pets([1, 2], labels))
    with pytest.raises(HarnessError, match=message):
        huggingface("pets", root=str(tmp_path))


def test_what_was_downloaded_before_needs_no_network(tmp_path: Path, cache: Path) -> None:
    put_into_cache(tmp_path, cache, [3, 4], COMMIT)
    assert levels(huggingface("some/pets").read(np.arange(2))) == [3, 4]
    assert huggingface("some/pets", revision=COMMIT).name == "pets (test)"


def test_another_revision_than_the_one_in_the_cache_is_an_error(tmp_path: Path, cache: Path) -> None:
    put_into_cache(tmp_path, cache, [3, 4], COMMIT)
    with pytest.raises(HarnessError, match=rf"cached last, {COMMIT}, not {OTHER_COMMIT}\.\n +pass --download$"):
        huggingface("some/pets", revision=OTHER_COMMIT)


def test_of_two_revisions_in_the_cache_the_error_tells_how_to_open_the_older_one(tmp_path: Path, cache: Path) -> None:
    put_into_cache(tmp_path, cache, [3, 4], COMMIT)
    newest = cache / "some___pets/default/0.0.0" / OTHER_COMMIT
    shutil.copytree(newest.with_name(COMMIT), newest)
    for entry in newest.iterdir():
        os.utime(entry, (2e9, 2e9))
    os.utime(newest, (2e9, 2e9))
    with pytest.raises(HarnessError, match=f"cached last, {OTHER_COMMIT}(.|\n)*, or move {newest} elsewhere"):
        huggingface("some/pets", revision=COMMIT)
    newest.rename(tmp_path / "elsewhere")
    assert levels(huggingface("some/pets", revision=COMMIT).read(np.arange(2))) == [3, 4]


def test_a_namesake_in_the_working_directory_is_not_taken_for_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "some/pets", pets([1], [0]))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HarnessError, match="some/pets in the working directory is(.|\n)*write its absolute path"):
        huggingface("some/pets", root=str(tmp_path / "data"))
    assert len(huggingface("some/pets", root=".").labels) == 1


def test_what_is_nowhere_is_an_error_that_tells_how_to_get_it() -> None:
    with pytest.raises(HarnessError, match=r"some/pets is neither a folder nor in the cache(.|\n)*pass --download"):
        huggingface("some/pets")


@pytest.mark.parametrize("download", [False, True])
def test_the_hub_is_asked_only_with_leave_to_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool
) -> None:
    write(tmp_path / "pets", pets([1, 2], [0, 1]))
    local, asked = datasets.load_dataset(str(tmp_path / "pets"), split="test"), []

    def load(*arguments: Any, **keys: Any) -> Any:
        asked.append((arguments, keys, datasets.config.HF_HUB_OFFLINE))
        return local

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets, "load_dataset", load)
    huggingface("some/pets", config="small", download=download)
    assert asked == [(("some/pets", "small"), {"split": "test", "revision": None}, not download)]
    assert datasets.config.HF_HUB_OFFLINE is False


def test_without_the_library_the_error_names_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(HarnessError, match="pip install datasets"):
        huggingface("some/pets")
