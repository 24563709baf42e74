"""ImageNet in every layout, tiny."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision.datasets import imagenet as torchvision_imagenet

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry
from harness.data import Source
from harness.data import imagenet as module
from harness.data.imagenet import imagenet
from harness.data.imagenet_labels import validation_wnids
from harness.data.load import load_dataset

NUMBERS = {"n01440764": 0, "n02099601": 207, "n02123045": 281, "n15075141": 999}
IN_ORDER_OF_ILSVRC_IDS = ("n02123045", "n15075141", "n01440764", "n02099601")
GROUND_TRUTH = ("n15075141", "n01440764", "n02123045", "n01440764", "n02099601")
LABELS = [999, 0, 281, 0, 207]
LEVELS = [0, 40, 80, 120, 160]

NAMES = [f"ILSVRC2012_val_{number:08d}" for number in range(1, 6)]


def jpeg(level: int, size: tuple[int, int] = (12, 10)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


def write(file: Path, content: bytes | str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def write_flat(folder: Path) -> None:
    for name, level in zip(NAMES, LEVELS, strict=True):
        write(folder / f"{name}.JPEG", jpeg(level))


def write_class_folders(folder: Path) -> None:
    for name, wnid, level in zip(NAMES, GROUND_TRUTH, LEVELS, strict=True):
        write(folder / wnid / f"{name}.JPEG", jpeg(level))


def write_archive(top: Path, inside: str = "") -> None:
    """Members in another order than that of their names."""
    top.mkdir(parents=True, exist_ok=True)
    with tarfile.open(top / "ILSVRC2012_img_val.tar", "w") as archive:
        for name, level in reversed(list(zip(NAMES, LEVELS, strict=True))):
            content = jpeg(level)
            member = tarfile.TarInfo(f"{inside}{name}.JPEG")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_devkit(top: Path) -> None:
    """The fields of the real table, with a synset above the classes as it has hundreds."""
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height",
              "num_train_images"]  # fmt: skip
    synsets = np.zeros((5, 1), dtype=[(field, object) for field in fields])
    for row, wnid in enumerate([*IN_ORDER_OF_ILSVRC_IDS, "n00001740"]):
        inner = int(row == 4)
        synsets[row, 0] = (float(row + 1), wnid, f"words, of {wnid}", "gloss", inner, [1, 2] if inner else [], inner, 9)
    folder = top / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "meta.mat", {"synsets": synsets})
    ids = [IN_ORDER_OF_ILSVRC_IDS.index(wnid) + 1 for wnid in GROUND_TRUTH]
    write(folder / "ILSVRC2012_validation_ground_truth.txt", "".join(f"{id}\n" for id in ids))


def pack_devkit(top: Path) -> None:
    write_devkit(top)
    with tarfile.open(top / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        archive.add(top / "ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12")
    shutil.rmtree(top / "ILSVRC2012_devkit_t12")


def write_solution(top: Path) -> None:
    rows = [f"{name},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n" for name, wnid in zip(NAMES, GROUND_TRUTH, strict=True)]
    write(top / "LOC_val_solution.csv", "ImageId,PredictionString\n" + "".join(reversed(rows)))


LAYOUTS: dict[str, list[Callable[[Path], None]]] = {
    "class folders": [lambda top: write_class_folders(top / "val")],
    "class folders directly": [write_class_folders],
    "class folders in Kaggle's place": [lambda top: write_class_folders(top / "ILSVRC/Data/CLS-LOC/val")],
    "flat, devkit folder": [lambda top: write_flat(top / "val"), write_devkit],
    "flat, devkit archive": [lambda top: write_flat(top / "val"), pack_devkit],
    "flat directly": [write_flat, pack_devkit],
    "archive, devkit folder": [write_archive, write_devkit],
    "archive of a folder, devkit archive": [lambda top: write_archive(top, "./val/"), pack_devkit],
    "Kaggle": [lambda top: write_flat(top / "ILSVRC/Data/CLS-LOC/val"), write_solution],
    "Kaggle without its first folder": [lambda top: write_flat(top / "Data/CLS-LOC/val"), write_solution],
    "Kaggle, table beside the images' folder": [
        lambda top: write_flat(top / "ILSVRC/Data/CLS-LOC/val"),
        lambda top: write_solution(top / "ILSVRC"),
    ],
    "flat, Kaggle's table": [lambda top: write_flat(top / "val"), write_solution],
}


def levels(source: Source, indices: list[int]) -> list[int]:
    """The grey level of images: how the tests tell them apart."""
    return [int(level) for level in source.read(np.array(indices))[:, 0, 0, 0]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_images_labels_and_order(tmp_path: Path, layout: str) -> None:
    for part in LAYOUTS[layout]:
        part(tmp_path / "imagenet")
    source = imagenet(root=str(tmp_path))
    assert source.labels.tolist() == LABELS
    assert levels(source, [0, 1, 2, 3, 4]) == LEVELS
    assert levels(source, [4, 1]) == [160, 40]
    assert source.name == "ImageNet (val, 5 of 50,000 images)"
    assert len(source.classes) == 1000
    assert source.classes[0] == "tench, Tinca tinca"


def test_the_development_kit_is_read_as_torchvision_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_devkit(tmp_path)
    monkeypatch.setattr(torchvision_imagenet, "_verify_archive", lambda *_: None)
    torchvision_imagenet.parse_devkit_archive(str(tmp_path))
    _, theirs = torchvision_imagenet.load_meta_file(str(tmp_path))
    assert validation_wnids(tmp_path) == dict(zip(NAMES, theirs, strict=True))
    assert theirs == list(GROUND_TRUTH)


@pytest.mark.parametrize("place", ["train", "ILSVRC/Data/CLS-LOC/train", "."])
def test_the_train_split_is_found_as_class_folders(tmp_path: Path, place: str) -> None:
    write(tmp_path / place / "n15075141/n15075141_7.JPEG", jpeg(30))
    write(tmp_path / place / "n01440764/n01440764_9.JPEG", jpeg(20))
    write(tmp_path / place / "n01440764/n01440764_10.JPEG", jpeg(10))
    source = imagenet(str(tmp_path), split="train")
    assert source.labels.tolist() == [0, 0, 999]
    assert levels(source, [0, 1, 2]) == [10, 20, 30]
    assert source.name == "ImageNet (train, 3 of 1,281,167 images)"


def test_each_split_is_read_from_its_own_folder(tmp_path: Path) -> None:
    write(tmp_path / "train/n01440764/n01440764_9.JPEG", jpeg(20))
    write(tmp_path / "val/n15075141/ILSVRC2012_val_00000001.JPEG", jpeg(30))
    assert imagenet(str(tmp_path), split="train").labels.tolist() == [0]
    assert imagenet(str(tmp_path), split="val").labels.tolist() == [999]


def test_some_validation_images_keep_the_labels_of_their_names(tmp_path: Path) -> None:
    write_flat(tmp_path / "val")
    write_devkit(tmp_path)
    for name in (NAMES[0], NAMES[2]):
        (tmp_path / f"val/{name}.JPEG").unlink()
    assert imagenet(str(tmp_path)).labels.tolist() == [0, 0, 207]


def test_a_complete_split_is_named_without_a_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.NUMBER_OF_IMAGES, "val", 5)
    write_class_folders(tmp_path / "val")
    assert imagenet(str(tmp_path)).name == "ImageNet (val)"
    assert imagenet(str(tmp_path), name="Mine").name == "Mine"


def test_more_images_than_the_split_has_are_those_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.NUMBER_OF_IMAGES, "val", 4)
    write_class_folders(tmp_path)
    with pytest.raises(HarnessError, match=r"5 images, but ImageNet \(val\) has 4; set the dataset's `split`"):
        imagenet(str(tmp_path))


def test_images_come_in_the_geometry_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "val/n01440764/a.JPEG", jpeg(10, (60, 40)))
    write(tmp_path / "val/n01440764/b.JPEG", jpeg(20, (30, 50)))
    asked = load_dataset("imagenet", {"path": str(tmp_path)}, geometry=Geometry(20, 16, 16))
    assert asked.images.shape == (2, 3, 16, 16)
    assert load_dataset("imagenet", {"path": str(tmp_path), "size": 12}).images.shape == (2, 3, 12, 12)


def test_only_the_chosen_images_are_opened(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "val")
    write(tmp_path / f"val/n15075141/{NAMES[0]}.JPEG", b"damaged")
    source = imagenet(str(tmp_path))
    assert levels(source, [1]) == [40]
    with pytest.raises(HarnessError, match=rf"{NAMES[0]}\.JPEG: not a readable image"):
        source.read(np.array([0]))


def test_a_damaged_member_is_named_with_its_archive(tmp_path: Path) -> None:
    write_archive(tmp_path)
    write_devkit(tmp_path)
    source = imagenet(str(tmp_path))
    archive = tmp_path / "ILSVRC2012_img_val.tar"
    archive.write_bytes(archive.read_bytes().replace(jpeg(80), b"\0" * len(jpeg(80))))
    assert levels(source, [1]) == [40]
    with pytest.raises(HarnessError, match=rf"img_val\.tar: {NAMES[2]}\.JPEG: not a readable image"):
        source.read(np.array([2]))


def test_nothing_there_is_an_error_that_lists_the_layouts_and_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        imagenet(root=str(tmp_path))
    for part in (
        f"ImageNet (val) is not in {tmp_path / 'imagenet'}",
        f"{tmp_path}/imagenet/val/n01440764/*.JPEG",
        f"{tmp_path}/imagenet/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_*.JPEG",
        f"{tmp_path}/imagenet/ILSVRC2012_img_val.tar",
        "ILSVRC2012_devkit_t12[.tar.gz]",
        "LOC_val_solution.csv",
        "https://image-net.org",
        "HARNESS_DATA",
    ):
        assert part in str(caught.value)


def test_validation_images_are_not_taken_for_the_train_split(tmp_path: Path) -> None:
    write_flat(tmp_path)
    write_archive(tmp_path)
    write_devkit(tmp_path)
    with pytest.raises(HarnessError, match=r"ImageNet \(train\) is not in"):
        imagenet(str(tmp_path), split="train")


@pytest.mark.parametrize("unknown", ["n00000001", "cats"])
def test_folders_that_are_no_class_of_imagenet_are_an_error_with_their_names(tmp_path: Path, unknown: str) -> None:
    write_class_folders(tmp_path / "val")
    write(tmp_path / f"val/{unknown}/a.JPEG", jpeg(0))
    with pytest.raises(HarnessError, match=f"no class of ImageNet: {unknown}"):
        imagenet(str(tmp_path))


@pytest.mark.parametrize("images", [lambda top: write_flat(top / "val"), write_archive])
def test_images_without_labels_are_an_error_that_says_what_to_add(
    tmp_path: Path, images: Callable[[Path], None]
) -> None:
    images(tmp_path)
    with pytest.raises(HarnessError, match=r"put ILSVRC2012_devkit_t12\.tar\.gz .* or LOC_val_solution\.csv"):
        imagenet(str(tmp_path))


@pytest.mark.parametrize("row", ["ILSVRC2012_val_00000006,", "ILSVRC2012_val_00000006"])
def test_an_image_without_an_entry_in_kaggles_table_is_an_error_with_its_name(tmp_path: Path, row: str) -> None:
    write_flat(tmp_path / "val")
    write(tmp_path / "val/ILSVRC2012_val_00000006.JPEG", jpeg(0))
    write_solution(tmp_path)
    table = tmp_path / "LOC_val_solution.csv"
    write(table, f"{table.read_text()}{row}\n")
    with pytest.raises(HarnessError, match="the class of ILSVRC2012_val_00000006 is not told"):
        imagenet(str(tmp_path))


def test_an_image_that_the_labels_do_not_tell_is_an_error_with_its_name(tmp_path: Path) -> None:
    write_flat(tmp_path / "val")
    write(tmp_path / "val/ILSVRC2012_val_00000006.JPEG", jpeg(0))
    write_devkit(tmp_path)
    with pytest.raises(HarnessError, match="the class of ILSVRC2012_val_00000006 is not told"):
        imagenet(str(tmp_path))


@pytest.mark.parametrize(
    "damaged",
    [
        "ILSVRC2012_devkit_t12.tar.gz",
        "ILSVRC2012_devkit_t12/data/meta.mat",
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
        "LOC_val_solution.csv",
    ],
)
def test_damaged_labels_are_an_error_with_their_file(tmp_path: Path, damaged: str) -> None:
    write_flat(tmp_path / "val")
    if "data" in damaged:
        write_devkit(tmp_path)
    write(tmp_path / damaged, "not, what\n9999\n")
    with pytest.raises(HarnessError, match=rf"{damaged.partition('/')[0]} does not tell the classes"):
        imagenet(str(tmp_path))


@pytest.mark.parametrize("content", [b"not an archive", b""])
def test_a_damaged_archive_is_an_error(tmp_path: Path, content: bytes) -> None:
    write_devkit(tmp_path)
    write(tmp_path / "ILSVRC2012_img_val.tar", content)
    with pytest.raises(HarnessError, match="cannot be read"):
        imagenet(str(tmp_path))


@pytest.mark.parametrize("length", [1100, 2000, 3072])
def test_an_archive_that_was_cut_off_is_an_error(tmp_path: Path, length: int) -> None:
    """Within an image, within a header, and between two images."""
    write_archive(tmp_path)
    write_devkit(tmp_path)
    archive = tmp_path / "ILSVRC2012_img_val.tar"
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(HarnessError, match="cannot be read|is cut off or damaged after ILSVRC2012_val_"):
        imagenet(str(tmp_path))


def test_an_archive_of_something_else_is_an_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "ILSVRC2012_img_val.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("n01440764.tar"))
    with pytest.raises(HarnessError, match="holds no image such as ILSVRC2012_val_00000001"):
        imagenet(str(tmp_path))
