"""How an image of any size becomes the one that a network is given."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)


class Geometry(NamedTuple):
    """Scale, then cut out the middle."""

    resize: int
    """The shorter side is scaled to this many pixels."""
    height: int
    """Of the middle that is cut out."""
    width: int
    """Of the middle that is cut out."""
    interpolation: Interpolation = "bilinear"
    """How pixels are scaled; smaller ones are averages of all that they cover."""
    squash: bool = False
    """Whether both sides are scaled to `resize`, whatever the image's shape."""

    @property
    def label(self) -> str:
        """In a few words, such as "resize 256, crop 224"."""
        crop = f"{self.height}" if self.height == self.width else f"{self.height}x{self.width}"
        resize = f"{'squash' if self.squash else 'resize'} {self.resize}"
        how = "" if self.interpolation == "bilinear" else f", {self.interpolation}"
        return f"{resize}, crop {crop}{how}"


def square(size: int) -> Geometry:
    """The whole middle square of an image, scaled to `size`."""
    return Geometry(size, size, size)
