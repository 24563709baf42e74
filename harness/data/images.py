"""Encoded images to pixels, the same way for every loader."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]

Size = Annotated[int, Field(ge=1)]
"""Side of the square that `resize_and_crop` makes."""

Channels = Literal[1, 3]
"""Grey or RGB."""

IMAGES_AT_ONCE = 1024
"""How many encoded images are held in memory at a time."""

GREY_MODES = ("1", "L", "LA")
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


class Encoded(NamedTuple):
    """One image file, not yet decoded."""

    where: str
    """How an error names it."""
    content: bytes | Path
    """The file's bytes, or the file."""


def decode_images(images: Iterable[Encoded], size: int | None = None, channels: Channels | None = None) -> Pixels:
    """Decode images, in threads, to (N, C, H, W).

    Palettes are looked up, transparency is dropped and rotation tags are ignored, as torchvision does.

    Args:
        images: at least one; consumed once, a few at a time.
        size: side of the square that `resize_and_crop` makes of each; None keeps the images as they are.
        channels: 1 for grey, 3 for RGB; None for RGB unless all images are grey.

    Raises:
        HarnessError: for an image that cannot be read, more than 8 bits per channel, or different sizes.
    """
    decode = partial(_decode_all, size=size, channels=channels)
    waiting, names, arrays = iter(images), list[str](), list[Pixels]()
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(islice(waiting, IMAGES_AT_ONCE)):
            share = -(-len(batch) // workers)
            for decoded in pool.map(decode, [batch[i : i + share] for i in range(0, len(batch), share)]):
                arrays += decoded
            names += [image.where for image in batch]
    return _stack(arrays, names)


def resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    """Scale the shorter side to `size` (bilinear, antialiased) and cut out the middle `size` x `size` square.

    Rounds as torchvision's Resize and CenterCrop do on PIL images.
    """
    from PIL import Image

    width, height = image.size
    shorter = min(width, height)
    width, height = int(size * width / shorter), int(size * height / shorter)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))


def _decode_all(images: Sequence[Encoded], size: int | None, channels: Channels | None) -> list[Pixels]:
    return [_decode(image, size, channels) for image in images]


def _decode(encoded: Encoded, size: int | None, channels: Channels | None) -> Pixels:
    """One image to (C, H, W); C is 1 or 3."""
    from PIL import Image

    content = encoded.content
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            if image.mode in DEEP_MODES:
                raise HarnessError(f"{encoded.where}: more than 8 bits per channel; convert the image to 8 bits first")
            grey = channels == 1 or (channels is None and image.mode in GREY_MODES)
            converted = image.convert("L" if grey else "RGB")
    # Broken PNG chunks are a SyntaxError in Pillow, and some truncated headers a ValueError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise HarnessError(f"{encoded.where}: not a readable image ({error})") from error
    array = np.asarray(converted if size is None else resize_and_crop(converted, size))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _stack(arrays: list[Pixels], names: list[str]) -> Pixels:
    """Images (C, H, W) to (N, C, H, W), grey ones repeated over three channels when any has three."""
    sizes = {array.shape[1:]: name for array, name in zip(arrays, names, strict=True)}
    if len(sizes) > 1:
        examples = "\n".join(f"     {width} x {height}: {name}" for (height, width), name in list(sizes.items())[:3])
        raise HarnessError(f"the images have {len(sizes)} different sizes; set the dataset's `size`\n{examples}")
    channels = max(len(array) for array in arrays)
    stacked = np.empty((len(arrays), channels, *arrays[0].shape[1:]), dtype=np.uint8)
    for row, array in zip(stacked, arrays, strict=True):
        row[:] = array
    return stacked
