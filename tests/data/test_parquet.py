"""Parquet files in the Hugging Face layout."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.core.errors import HarnessError
from harness.data import take
from harness.data.parquet import parquet

REAL = Path(__file__).parents[2].parent / "shared" / "data"

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
LARGE_STRUCT = pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])


def picture(level: int, mode: str = "RGB", size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, 0, 0)).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def write(
    file: Path, images: list[Any], labels: list[Any], *, kind: Any = STRUCT, image: str = "img", label: str = "label",
    label_kind: Any = None, names: list[str] | None = None, rows: int = 2,
) -> None:  # fmt: skip
    """A parquet file with small row groups; `images` are encoded bytes."""
    column = (
        [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(images)] if pa.types.is_struct(kind) else images
    )
    table = pa.table({image: pa.array(column, type=kind), label: pa.array(labels, type=label_kind or pa.int64())})
    if names:
        features = {label: {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=rows)


def levels(images: Any) -> list[int]:
    """The red level of every image: how the tests tell them apart."""
    return [int(level) for level in images[:, 0, 0, 0]]


def test_images_labels_and_name_are_read(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(i) for i in range(5)], [0, 1, 2, 0, 1])
    source = parquet("tiny", root=str(tmp_path))
    dataset = take(source, np.arange(5))
    assert dataset.images.shape == (5, 3, 3, 4)
    assert dataset.images.dtype == np.uint8
    assert levels(dataset.images) == [0, 1, 2, 3, 4]
    assert source.labels.tolist() == [0, 1, 2, 0, 1]
    assert source.classes == ("0", "1", "2")
    assert source.name == "tiny (test)"


@pytest.mark.parametrize("kind", [STRUCT, LARGE_STRUCT, pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize("image", ["img", "image"])
def test_every_layout_of_the_image_column_is_read(tmp_path: Path, kind: Any, image: str) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(i) for i in range(3)], [0, 1, 0], kind=kind, image=image)
    assert levels(parquet("tiny", root=str(tmp_path)).read(np.arange(3))) == [0, 1, 2]


@pytest.mark.parametrize("label_kind", [pa.int8(), pa.uint8(), pa.int32(), pa.int64()])
def test_labels_of_every_width_become_64_bits(tmp_path: Path, label_kind: Any) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0)] * 2, [1, 0], label_kind=label_kind)
    labels = parquet("tiny", root=str(tmp_path)).labels
    assert labels.dtype == np.int64
    assert labels.tolist() == [1, 0]


def test_class_names_come_from_the_hugging_face_metadata(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0)] * 2, [0, 1], label="fine_label", names=["cat", "dog", "cow"])
    assert parquet("tiny", root=str(tmp_path)).classes == ("cat", "dog", "cow")


def test_shards_are_joined_in_order_and_indices_run_across_them(tmp_path: Path) -> None:
    write(tmp_path / "tiny/train-00001-of-00002.parquet", [picture(i) for i in (3, 4)], [1, 1])
    write(tmp_path / "tiny/train-00000-of-00002.parquet", [picture(i) for i in (0, 1, 2)], [0, 0, 0])
    source = parquet("tiny", split="train", root=str(tmp_path))
    assert source.labels.tolist() == [0, 0, 0, 1, 1]
    assert levels(source.read(np.array([4, 0, 3, 2]))) == [4, 0, 3, 2]


def test_shards_of_another_layout_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test-00000-of-00002.parquet", [picture(0)], [0])
    write(tmp_path / "tiny/test-00001-of-00002.parquet", [picture(0)], [0], kind=pa.binary())
    with pytest.raises(HarnessError, match=r"test-00001-of-00002\.parquet has img and label, .* has img\.bytes and"):
        parquet("tiny", root=str(tmp_path))
    write(tmp_path / "tiny/test-00001-of-00002.parquet", [picture(0)], [0], label="y")
    with pytest.raises(HarnessError, match=r"test-00001-of-00002\.parquet: needs a column label"):
        parquet("tiny", root=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", b"PAR1" + 40 * b"x" + b"PAR1"])
def test_a_file_that_is_no_parquet_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test.parquet").write_bytes(content)
    with pytest.raises(HarnessError, match=r"test\.parquet cannot be read(.|\n)*fetch it again"):
        parquet(str(tmp_path))


def test_a_file_with_damaged_contents_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "test.parquet"
    write(file, [picture(level) for level in range(8)], [0] * 8, rows=8)
    content = bytearray(file.read_bytes())
    content[4:200] = bytes(196)
    file.write_bytes(content)
    with pytest.raises(HarnessError, match=r"test\.parquet cannot be read"):
        take(parquet(str(tmp_path)), np.arange(8))


@pytest.mark.parametrize(
    "metadata", ["no json", "[]", '{"info": null}', '{"info": {"features": {"label": {"names": {"0": "cat"}}}}}']
)
def test_odd_metadata_are_an_error_that_names_the_file(tmp_path: Path, metadata: str) -> None:
    file = tmp_path / "test.parquet"
    write(file, [picture(0)], [0])
    pq.write_table(pq.read_table(file).replace_schema_metadata({"huggingface": metadata}), file)
    with pytest.raises(HarnessError, match=r'test\.parquet: its metadata "huggingface" does not tell the classes'):
        parquet(str(tmp_path))


def test_only_row_groups_with_chosen_images_are_read(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test-00000-of-00002.parquet", [picture(0)] * 2, [0, 0])
    write(tmp_path / "tiny/test-00001-of-00002.parquet", [picture(9)] * 2, [0, 0])
    source = parquet("tiny", root=str(tmp_path))
    (tmp_path / "tiny/test-00000-of-00002.parquet").unlink()
    assert levels(source.read(np.array([2, 3]))) == [9, 9]


def test_only_chosen_images_are_decoded(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0), b"damaged", picture(2)], [0, 0, 0], rows=3)
    source = parquet("tiny", root=str(tmp_path))
    assert levels(source.read(np.array([0, 2]))) == [0, 2]
    with pytest.raises(HarnessError, match=r"test\.parquet, image 1: not a readable image"):
        source.read(np.array([1]))


def test_grey_and_colour_together_become_rgb(tmp_path: Path) -> None:
    modes = ["L", "RGB", "RGBA", "P"]
    write(tmp_path / "tiny/test.parquet", [picture(200, mode) for mode in modes], [0] * 4)
    source = parquet("tiny", root=str(tmp_path))
    assert source.read(np.arange(4)).shape == (4, 3, 3, 4)
    assert source.read(np.array([0])).shape == (1, 1, 3, 4)
    assert parquet("tiny", root=str(tmp_path), channels=3).read(np.array([0])).shape == (1, 3, 3, 4)


def test_mixed_sizes_need_the_key_size(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0), picture(0, size=(9, 9))], [0, 0])
    with pytest.raises(HarnessError, match="set the dataset's `size`"):
        parquet("tiny", root=str(tmp_path)).read(np.arange(2))
    assert parquet("tiny", root=str(tmp_path), size=3).read(np.arange(2)).shape == (2, 3, 3, 3)


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [("pixels", "label", "needs a column img or image; has pixels, label"), ("img", "y", "needs a column label or")],
)
def test_a_missing_column_is_an_error_that_lists_the_columns(
    tmp_path: Path, image: str, label: str, message: str
) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0)], [0], image=image, label=label)
    with pytest.raises(HarnessError, match=message):
        parquet("tiny", root=str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "label_kind", "message"),
    [
        ([0, None], pa.int64(), "1 images have no label"),
        ([0, -1], pa.int64(), "label -1 is negative"),
        ([0.0, 1.0], pa.float64(), "column label holds double, not class numbers"),
        (["cat", "dog"], pa.string(), "column label holds string, not class numbers"),
    ],
)
def test_labels_that_are_not_class_numbers_are_refused(
    tmp_path: Path, labels: list[Any], label_kind: Any, message: str
) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0)] * 2, labels, label_kind=label_kind)
    with pytest.raises(HarnessError, match=message):
        parquet("tiny", root=str(tmp_path))


def test_a_label_beyond_the_class_names_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0)] * 2, [0, 2], names=["cat", "dog"])
    with pytest.raises(HarnessError, match="label 2 has no class"):
        parquet("tiny", root=str(tmp_path))


def test_a_column_of_anything_but_encoded_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", ["a.png"], [0], kind=pa.string())
    with pytest.raises(HarnessError, match="column img holds string, not encoded images"):
        parquet("tiny", root=str(tmp_path))


def test_images_that_are_only_paths_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", [picture(0), None], [0, 0])
    with pytest.raises(HarnessError, match="image 1 is not in the file, only its path"):
        parquet("tiny", root=str(tmp_path)).read(np.arange(2))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "tiny/test.parquet", [], [])
    with pytest.raises(HarnessError, match="there is no image"):
        parquet("tiny", root=str(tmp_path))


@pytest.mark.skipif(not (REAL / "cifar10").is_dir(), reason="no real data beside the repository")
def test_real_cifar10_images_are_32_by_32_and_balanced_over_ten_classes() -> None:
    source = parquet("cifar10", root=str(REAL), name="CIFAR-10 (JPEG)")
    assert np.bincount(source.labels).tolist() == [1000] * 10
    assert source.read(np.array([0, 9999])).shape == (2, 3, 32, 32)


@pytest.mark.skipif(not (REAL / "mnist10k").is_dir(), reason="no real data beside the repository")
def test_real_mnist_images_are_28_by_28_and_grey() -> None:
    source = parquet("mnist10k", root=str(REAL))
    assert source.read(np.array([0, 1999])).shape == (2, 1, 28, 28)
