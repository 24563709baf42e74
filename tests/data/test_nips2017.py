"""The images of the NIPS 2017 competition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry
from harness.data import nips2017 as module
from harness.data.load import load_dataset
from harness.data.nips2017 import nips2017

REAL = Path(__file__).parents[2].parent / "shared" / "data"

ROWS = [("b", 306), ("a", 1), ("gone", 5), ("c", 1000)]


def write(top: Path, rows: list[tuple[str, int]] = ROWS, header: str = "ImageId,URL,TrueLabel,TargetClass") -> None:
    (top / "images").mkdir(parents=True)
    table = "".join(f"{image},http://x,{label},7\n" for image, label in rows)
    (top / "images.csv").write_text(f"{header}\n{table}")
    for level, (image, _) in enumerate(rows):
        if image != "gone":
            Image.new("RGB", (30, 30), (level, 0, 0)).save(top / f"images/{image}.png")


def test_rows_with_an_image_are_read_in_their_order_and_labels_count_from_zero(tmp_path: Path) -> None:
    write(tmp_path / "nips2017")
    source = nips2017(root=str(tmp_path))
    assert source.labels.tolist() == [305, 0, 999]
    assert source.read(np.array([0, 1, 2]))[:, 0, 0, 0].tolist() == [0, 1, 3]
    assert source.read(np.array([2, 0]))[:, 0, 0, 0].tolist() == [3, 0]
    assert len(source.classes) == 1000
    assert (source.classes[0], source.classes[305]) == ("tench, Tinca tinca", "dung beetle")


def test_the_name_tells_when_images_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    assert nips2017(str(tmp_path)).name == "NIPS 2017 (3 of 1,000 images)"
    assert nips2017(str(tmp_path), name="Mine").name == "Mine"
    monkeypatch.setattr(module, "NUMBER_OF_IMAGES", 3)
    assert nips2017(str(tmp_path)).name == "NIPS 2017"


def test_images_come_in_the_geometry_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path)
    asked = load_dataset("nips2017", {"path": str(tmp_path)}, geometry=Geometry(20, 16, 16))
    assert asked.images.shape == (3, 3, 16, 16)
    assert load_dataset("nips2017", {"path": str(tmp_path), "size": 12}).images.shape == (3, 3, 12, 12)


def test_a_missing_folder_is_an_error_that_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"it needs images\.csv and images/<ImageId>\.png(.|\n)*HARNESS_DATA"):
        nips2017(root=str(tmp_path))


def test_a_table_without_any_of_its_images_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [("gone", 5)])
    with pytest.raises(HarnessError, match="none of the 1 images of images.csv is there"):
        nips2017(str(tmp_path))


def test_a_table_without_a_column_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, header="ImageId,URL,Label,TargetClass")
    with pytest.raises(HarnessError, match=r"images\.csv has no column 'TrueLabel'"):
        nips2017(str(tmp_path))


@pytest.mark.parametrize("row", ["a,http://x,cat,7", "a,http://x", "a,http://x,,7"])
def test_a_label_that_is_no_number_is_an_error(tmp_path: Path, row: str) -> None:
    write(tmp_path)
    (tmp_path / "images.csv").write_text(f"ImageId,URL,TrueLabel,TargetClass\n{row}\n")
    with pytest.raises(HarnessError, match=r"images\.csv: a TrueLabel is not a class number"):
        nips2017(str(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_a_table_in_another_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, header="ImageId,URL,TrueLabel,Author")
    file = tmp_path / "images.csv"
    file.write_text(file.read_text().replace(",7", ",Zoë"), encoding=encoding)
    assert nips2017(str(tmp_path)).labels.tolist() == [305, 0, 999]


def test_files_with_a_suffix_in_capitals_are_found(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "images/a.png").rename(tmp_path / "images/a.PNG")
    assert nips2017(str(tmp_path)).read(np.array([0, 1, 2]))[:, 0, 0, 0].tolist() == [0, 1, 3]


def test_an_image_with_two_rows_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [("a", 1), ("b", 2), ("a", 3)])
    with pytest.raises(HarnessError, match=r"images\.csv: ImageId a stands in 2 rows"):
        nips2017(str(tmp_path))


@pytest.mark.skipif(not (REAL / "nips2017_sample").is_dir(), reason="the sample is not on this machine")
def test_the_real_sample_is_read_as_its_pictures_show() -> None:
    dataset = load_dataset("nips2017", {"path": str(REAL / "nips2017_sample"), "size": 299}, indices="first", samples=4)
    assert dataset.images.shape == (4, 3, 299, 299)
    names = [dataset.classes[label].partition(",")[0] for label in dataset.labels]
    assert names == ["dung beetle", "vase", "bull mastiff", "folding chair"]
