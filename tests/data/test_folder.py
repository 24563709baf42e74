"""Folders of image files, one subfolder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from harness.core.errors import HarnessError
from harness.data import take
from harness.data.folder import folder
from harness.data.subset import first


def write(path: Path, level: int, size: tuple[int, int] = (6, 5)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, 0)).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three images of class cat, one of them deeper, two of dog, and things to be skipped."""
    write(tmp_path / "pictures/dog/b.PNG", 40)
    write(tmp_path / "pictures/dog/a.png", 30)
    write(tmp_path / "pictures/cat/z.png", 10)
    write(tmp_path / "pictures/cat/a.bmp", 0)
    write(tmp_path / "pictures/cat/more/c.png", 20)
    (tmp_path / "pictures/cat/notes.txt").write_text("not an image")
    (tmp_path / "pictures/labels.csv").write_text("not a class")
    return tmp_path


def test_classes_and_images_come_in_the_order_of_their_names(pictures: Path) -> None:
    source = folder("pictures", root=str(pictures))
    assert source.name == "pictures"
    assert source.classes == ("cat", "dog")
    assert source.labels.tolist() == [0, 0, 0, 1, 1]
    assert take(source, first(source.labels, None)).images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]


def test_images_classes_and_order_are_those_of_torchvision(pictures: Path) -> None:
    theirs = ImageFolder(str(pictures / "pictures"))
    ours = take(folder("pictures", root=str(pictures)), np.arange(5))
    assert list(ours.classes) == theirs.classes
    assert ours.labels.tolist() == theirs.targets
    expected = [np.asarray(image).transpose(2, 0, 1) for image, _ in theirs]
    assert np.array_equal(ours.images, np.stack(expected))


def test_only_the_chosen_files_are_opened(pictures: Path) -> None:
    (pictures / "pictures/cat/z.png").write_bytes(b"damaged")
    source = folder("pictures", root=str(pictures))
    assert source.read(np.array([4, 0]))[:, 0, 0, 0].tolist() == [40, 0]
    with pytest.raises(HarnessError, match=r"z\.png: not a readable image"):
        source.read(np.array([1]))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("as-text", ("1", "10", "2")),
        ("as-numbers", ("1", "2", "10")),
        (["2", "10", "1"], ("2", "10", "1")),
    ],
)
def test_of_numbers_that_text_puts_into_another_order_the_suite_says_the_order(
    classes: Any, expected: tuple[str, ...], tmp_path: Path
) -> None:
    for name in ("1", "2", "10"):
        write(tmp_path / f"numbers/{name}/a.png", int(name))
    with pytest.raises(HarnessError, match=r'another order: 1, 10, 2, [^$]*classes = "as-text"[^$]*"as-numbers"'):
        folder("numbers", root=str(tmp_path))
    source = folder("numbers", root=str(tmp_path), classes=classes)
    assert source.classes == expected
    assert source.read(np.arange(3))[:, 0, 0, 0].tolist() == [int(name) for name in expected]
    assert source.labels.tolist() == [0, 1, 2]


def test_numbers_in_the_order_of_text_need_no_key(tmp_path: Path) -> None:
    for name in ("01", "02", "10"):
        write(tmp_path / f"numbers/{name}/a.png", 1)
    assert folder("numbers", root=str(tmp_path)).classes == ("01", "02", "10")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["cat", "dgo"], r'has no folder "dgo"\.\n +did you mean: dog\?'),
        (["cat", "cat"], '"cat" is named twice'),
        (["cat"], 'the folder "dog" of .* is not named'),
        ("as-numbers", "not all of its folders are called by whole numbers"),
    ],
)
def test_classes_that_are_not_those_of_the_folders_are_an_error(classes: Any, message: str, pictures: Path) -> None:
    with pytest.raises(HarnessError, match=message):
        folder("pictures", root=str(pictures), classes=classes)


def test_an_empty_class_folder_keeps_its_number(pictures: Path) -> None:
    (pictures / "pictures/cow").mkdir()
    source = folder("pictures", root=str(pictures))
    assert source.classes == ("cat", "cow", "dog")
    assert source.labels.tolist() == [0, 0, 0, 2, 2]


def test_hidden_files_and_folders_are_skipped(pictures: Path) -> None:
    write(pictures / "pictures/.cache/a.png", 1)
    write(pictures / "pictures/cat/.thumbnails/a.png", 1)
    write(pictures / "pictures/cat/._z.png", 1)
    source = folder("pictures", root=str(pictures))
    assert source.classes == ("cat", "dog")
    assert len(source.labels) == 5


def test_mixed_sizes_need_the_key_size(pictures: Path) -> None:
    write(pictures / "pictures/cat/big.png", 5, size=(20, 12))
    with pytest.raises(HarnessError, match="set the dataset's `size`"):
        take(folder("pictures", root=str(pictures)), np.arange(6))
    images = take(folder("pictures", root=str(pictures), size=4), np.arange(6)).images
    assert images.shape == (6, 3, 4, 4)


def test_an_absolute_path_and_a_name_are_taken_as_given(pictures: Path) -> None:
    source = folder(str(pictures / "pictures"), root="elsewhere", name="My pictures", channels=1)
    assert source.name == "My pictures"
    assert source.read(np.array([0])).shape == (1, 1, 5, 6)


def test_a_missing_folder_is_an_error_that_names_the_root(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="HARNESS_DATA or the dataset's `root`"):
        folder("nowhere", root=str(tmp_path))


def test_a_class_folder_that_cannot_be_read_is_an_error_and_not_an_empty_class(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def forbid(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbid)
    with pytest.raises(HarnessError, match=r"pictures/dog cannot be read \(Permission denied\)"):
        folder("pictures", root=str(pictures))


def test_a_path_may_begin_with_the_home_directory(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(pictures))
    assert len(folder("~/pictures", root="elsewhere").labels) == 5


def test_a_missing_absolute_folder_is_an_error_that_names_the_path_and_its_neighbours(pictures: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        folder(str(pictures / "picture/train"), root="elsewhere")
    assert "HARNESS_DATA" not in str(caught.value)
    assert f"`path`: {pictures} has no picture\n     did you mean: pictures?" in str(caught.value)


def test_a_folder_without_class_folders_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "flat/a.png", 1)
    with pytest.raises(HarnessError, match="one subfolder of images per class"):
        folder("flat", root=str(tmp_path))


def test_class_folders_without_images_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty/cat").mkdir(parents=True)
    with pytest.raises(HarnessError, match="no image in its 1 class folders"):
        folder("empty", root=str(tmp_path))


def test_images_that_would_be_passed_over_are_an_error(pictures: Path) -> None:
    write(pictures / "pictures/dog/c.GIF", 50)
    with pytest.raises(HarnessError, match=r"c\.GIF is an image that is not read; known: \.jpg, .*\n.*convert it"):
        folder("pictures", root=str(pictures))
