"""Encoded images to pixels, the same way for every loader."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry, square
from harness.data import Read, Source

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]

Size = Annotated[int, Field(ge=1)] | Literal["model"]
"""Side of the square that images are made into, or "model" for what each model asks for."""

Channels = Literal[1, 3]
"""Grey or RGB."""

IMAGES_AT_ONCE = 1024
"""How many encoded images are held in memory at a time."""

GREY_MODES = ("1", "L", "LA")
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
DEEP_IN_FILE = re.compile(r";16[BLN]$")
"""How Pillow's names of channels in files end where a channel has 16 bits; BGR;16 has them per pixel."""


class Encoded(NamedTuple):
    """One image file, not yet decoded."""

    where: str
    """How an error names it."""
    content: bytes | Path
    """The file's bytes, or the file."""


def encoded_source(
    name: str,
    labels: npt.NDArray[np.int64],
    classes: tuple[str, ...],
    encoded: Callable[[npt.NDArray[np.int64]], Iterable[Encoded]],
    size: Size | None,
    channels: Channels | None = None,
) -> Source:
    """A data set of encoded images.

    Args:
        name: how reports name the data.
        labels: (N,) class numbers.
        classes: one name per class.
        encoded: indices (M,) to as many images, in their order.
        size: side of the square that they are made into, "model" for what each model asks for, None to keep them.
        channels: see `decode_images`.
    """

    def at(geometry: Geometry | None) -> Read:
        return lambda indices: decode_images(encoded(indices), geometry, channels)

    if size == "model":
        return Source(name, labels, classes, at(None), at)
    return Source(name, labels, classes, at(None if size is None else square(size)))


def decode_images(
    images: Iterable[Encoded], geometry: Geometry | None = None, channels: Channels | None = None
) -> Pixels:
    """Decode images, in threads, to (N, C, H, W).

    Palettes are looked up, transparency is dropped and rotation tags are ignored, as torchvision does.

    Args:
        images: at least one; consumed once, a few at a time.
        geometry: what `fit` makes of each; None keeps the images as they are.
        channels: 1 for grey, 3 for RGB; None for RGB unless all images are grey.

    Raises:
        HarnessError: for an image that cannot be read, more than 8 bits per channel, or different sizes.
    """
    decode = partial(_decode_all, geometry=geometry, channels=channels)
    waiting, names, arrays = iter(images), list[str](), list[Pixels]()
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(islice(waiting, IMAGES_AT_ONCE)):
            share = -(-len(batch) // workers)
            for decoded in pool.map(decode, [batch[i : i + share] for i in range(0, len(batch), share)]):
                arrays += decoded
            names += [image.where for image in batch]
    return _stack(arrays, names)


def fit(image: Image.Image, geometry: Geometry) -> Image.Image:
    """Scale an image and cut out its middle; what lies outside of a scaled image that is too small is black.

    Rounds as torchvision's Resize and CenterCrop do on PIL images.
    """
    from PIL import Image

    width, height = image.size
    if geometry.squash:
        width = height = geometry.resize
    else:
        shorter = min(width, height)
        width, height = int(geometry.resize * width / shorter), int(geometry.resize * height / shorter)
    left, top = _before_the_middle(width, geometry.width), _before_the_middle(height, geometry.height)
    scaled = image.resize((width, height), Image.Resampling[geometry.interpolation.upper()])
    return scaled.crop((left, top, left + geometry.width, top + geometry.height))


def _before_the_middle(side: int, crop: int) -> int:
    """Where a crop begins: half pixels go to the even side where it cuts, to the left where it pads."""
    return round((side - crop) / 2) if crop <= side else -((crop - side) // 2)


def _decode_all(images: Sequence[Encoded], geometry: Geometry | None, channels: Channels | None) -> list[Pixels]:
    return [_decode(image, geometry, channels) for image in images]


def _decode(encoded: Encoded, geometry: Geometry | None, channels: Channels | None) -> Pixels:
    """One image to (C, H, W); C is 1 or 3."""
    from PIL import Image

    content = encoded.content
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            if image.mode in DEEP_MODES or _is_deep_in_file(image):
                raise HarnessError(f"{encoded.where}: more than 8 bits per channel; convert the image to 8 bits first")
            grey = channels == 1 or (channels is None and image.mode in GREY_MODES)
            converted = image.convert("L" if grey else "RGB")
    # Broken PNG chunks are a SyntaxError in Pillow, and some truncated headers a ValueError.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise HarnessError(f"{encoded.where}: not a readable image ({error})") from error
    array = np.asarray(converted if geometry is None else fit(converted, geometry))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _is_deep_in_file(image: Image.Image) -> bool:
    """Whether a channel has more than 8 bits in a file that is not loaded yet: Pillow cuts colours to 8 in silence."""
    for decoder, _, _, arguments in getattr(image, "tile", ()):
        channels, *others = arguments if isinstance(arguments, tuple) else (arguments,)
        if DEEP_IN_FILE.search(str(channels)) or (decoder.startswith("ppm") and others[0] > 255):
            return True
    return False


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
