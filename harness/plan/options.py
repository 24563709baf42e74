"""What the command line may change about a suite."""

from __future__ import annotations

from typing import NamedTuple


class Options(NamedTuple):
    """What the command line may change about a suite."""

    overrides: tuple[str, ...] = ()
    """`--set key.path=value`."""
    limit: int | None = None
    """Use at most this many images."""
    seed: int | None = None
    """Replaces the suite's seeds."""
    download: bool = False
    """Allow data sets to be downloaded."""
    random_weights: bool = False
    """Build the networks of torchvision and timm with random weights instead of those that the suite names."""
    available: bool = False
    """Leave out the models whose weights are not on this machine, and run the rest."""
