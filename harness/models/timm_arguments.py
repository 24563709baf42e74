"""Arguments of timm that an id decides, and which a suite must not give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.errors import HarnessError

RESERVED = (
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_strict",
    "checkpoint_path",
    "cache_dir",
)
"""Arguments of timm that choose weights, which is the id's business."""

RESHAPING = ("num_classes", "in_chans")
"""Arguments for which timm would replace trained layers by random or adapted ones."""


def refuse_reserved(where: str, arguments: Mapping[str, Any]) -> None:
    """Raise HarnessError for arguments that choose weights."""
    reserved = [key for key in RESERVED if key in arguments]
    if reserved:
        raise HarnessError(
            f"{where}: the id says which weights to load; remove {', '.join(reserved)} from the arguments"
        )


def refuse_replacements(where: str, arguments: Mapping[str, Any], mean: tuple[float, ...] | None) -> None:
    """Raise HarnessError for what would replace what was trained."""
    refuse_reserved(where, arguments)
    reshaping = [key for key in RESHAPING if key in arguments]
    if reshaping:
        raise HarnessError(
            f"{where}: with {', '.join(reshaping)}, layers of the trained model would be replaced by untrained ones.\n"
            "     remove it, or ask for random weights: timm:MODEL@none"
        )
    if mean is not None:
        raise HarnessError(f"{where}: mean and std belong to the weights and cannot be replaced")
