"""Encoded images to pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry, square
from harness.data import images as module
from harness.data.images import Encoded, Size, decode_images, encoded_source, fit

RED = (200, 10, 20)


def png_bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def png(image: Image.Image) -> Encoded:
    return Encoded("a test image", png_bytes(image))


def noise(mode: str, width: int = 4, height: int = 3) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze() if channels == 1 else pixels, mode)


def test_rgb_images_keep_their_pixels_channel_first() -> None:
    image = noise("RGB")
    decoded = decode_images([png(image)])
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded[0], np.asarray(image).transpose(2, 0, 1))


def test_grey_images_have_one_channel_when_all_are_grey() -> None:
    image = noise("L")
    decoded = decode_images([png(image), png(noise("LA")), png(image.convert("1"))])
    assert decoded.shape == (3, 1, 3, 4)
    assert np.array_equal(decoded[0, 0], np.asarray(image))


def test_grey_among_colour_is_repeated_over_three_channels() -> None:
    grey, colour = noise("L"), noise("RGB")
    decoded = decode_images([png(grey), png(colour)])
    assert np.array_equal(decoded[0], np.broadcast_to(np.asarray(grey), (3, 3, 4)))
    assert np.array_equal(decoded[1], np.asarray(colour).transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparency_is_dropped_and_palettes_are_looked_up(mode: str) -> None:
    image = Image.new("RGB", (4, 3), RED)
    image = image.quantize() if mode == "P" else image.convert(mode)
    if mode == "RGBA":
        image.putalpha(7)
    assert np.array_equal(decode_images([png(image)])[0, :, 1, 2], RED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_asks_for_grey_or_rgb_whatever_the_file_holds(mode: str, channels: int) -> None:
    image = noise("RGB").convert("L").convert(mode) if mode == "LA" else noise("RGB").convert(mode)
    assert decode_images([png(image)], channels=channels).shape == (1, channels, 3, 4)  # type: ignore[arg-type]


def test_sixteen_bits_per_channel_are_refused_rather_than_clipped() -> None:
    deep = Image.fromarray(np.full((3, 4), 5000, dtype=np.uint16))
    with pytest.raises(HarnessError, match="more than 8 bits"):
        decode_images([png(deep)])


def png_of_sixteen_bits(color_type: int, channels: int) -> bytes:
    """A file that Pillow reads but cannot write: 4 x 3 pixels of 16 bits per channel."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 4, 3, 16, color_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(3 * (b"\0" + 4 * channels * b"\x13\x88"))),
        (b"IEND", b""),
    ]
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(png_of_sixteen_bits(2, 3), id="RGB"),
        pytest.param(png_of_sixteen_bits(4, 2), id="grey and alpha"),
        pytest.param(png_of_sixteen_bits(6, 4), id="RGB and alpha"),
        pytest.param(b"P6 1 1 65535 \x13\x88\x13\x88\x13\x88", id="PPM"),
    ],
)
def test_colours_of_sixteen_bits_are_refused_though_pillow_would_cut_them(content: bytes) -> None:
    with pytest.raises(HarnessError, match="a test image: more than 8 bits"):
        decode_images([Encoded("a test image", content)])


@pytest.mark.parametrize("content", [b"", b"no image", png_bytes(noise("RGB", 64, 64))[:200]])
def test_unreadable_bytes_are_an_error_with_the_name_of_the_image(content: bytes) -> None:
    with pytest.raises(HarnessError, match="row 7: not a readable image"):
        decode_images([Encoded("row 7", content)])


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"gone\.png: not a readable image"):
        decode_images([Encoded("gone.png", tmp_path / "gone.png")])


def test_different_sizes_are_an_error_that_says_to_set_size() -> None:
    with pytest.raises(HarnessError, match="2 different sizes; set the dataset's `size`") as caught:
        decode_images([png(noise("RGB", 4, 3)), png(noise("RGB", 5, 3))])
    assert "4 x 3" in str(caught.value)
    assert "5 x 3" in str(caught.value)


@pytest.mark.parametrize(("width", "height"), [(50, 30), (30, 50), (31, 31), (7, 5), (24, 24), (33, 100)])
@pytest.mark.parametrize(
    "geometry", [square(24), square(17), Geometry(28, 24, 24, "bicubic"), Geometry(20, 24, 18), Geometry(17, 20, 22)]
)
def test_fit_is_torchvisions_resize_and_center_crop(width: int, height: int, geometry: Geometry) -> None:
    image = noise("RGB", width, height)
    resize = transforms.Resize(geometry.resize, transforms.InterpolationMode(geometry.interpolation))
    theirs = transforms.CenterCrop((geometry.height, geometry.width))(resize(image))
    assert np.array_equal(np.asarray(fit(image, geometry)), np.asarray(theirs))


def test_a_squashed_image_loses_its_shape_and_nothing_else() -> None:
    image = noise("RGB", 40, 30)
    theirs = transforms.Resize((20, 20))(image)
    assert np.array_equal(np.asarray(fit(image, Geometry(20, 20, 20, squash=True))), np.asarray(theirs))


def test_a_geometry_says_what_it_does_in_few_words() -> None:
    assert Geometry(256, 224, 224).label == "resize 256, crop 224"
    assert Geometry(20, 16, 18, "bicubic", squash=True).label == "squash 20, crop 16x18, bicubic"


@pytest.mark.parametrize(("size", "shape"), [(None, (1, 3, 30, 40)), (8, (1, 3, 8, 8)), ("model", (1, 3, 30, 40))])
def test_images_come_in_the_size_that_is_asked_for(size: Size | None, shape: tuple[int, ...]) -> None:
    files = [png(noise("RGB", 40, 30))]
    source = encoded_source("x", np.zeros(1, dtype=np.int64), ("a",), lambda _: files, size)
    assert source.read(np.arange(1)).shape == shape
    assert (source.at is not None) == (size == "model")


def test_where_models_are_asked_the_same_files_come_in_any_geometry() -> None:
    files = [png(noise("RGB", 40, 30)), png(noise("RGB", 20, 50))]
    source = encoded_source("x", np.array([1, 0]), ("a", "b"), lambda some: [files[i] for i in some], "model", 1)
    assert source.at is not None
    assert source.at(Geometry(18, 16, 12))(np.array([1, 0])).shape == (2, 1, 16, 12)


def test_with_size_images_of_different_sizes_are_decoded_to_one() -> None:
    decoded = decode_images([png(noise("RGB", 40, 30)), png(noise("L", 20, 50))], square(16))
    assert decoded.shape == (2, 3, 16, 16)


def test_the_order_is_kept_across_threads_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES_AT_ONCE", 5)
    decoded = decode_images(png(Image.new("L", (2, 2), level)) for level in range(23))
    assert decoded[:, 0, 0, 0].tolist() == list(range(23))
