"""`harness list models --twins`: networks of torchvision and timm that exist with BatchNorm and without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

SHOWN = 2
"""Ids of pretrained weights in a table; JSON has all of them."""


def twins() -> list[Row]:
    """Every twin, group by group."""
    from harness.models.twins import find_twins

    return [
        {
            "name": twin.id,
            "twins": twin.group,
            "norm": twin.census.family,
            "layers": twin.census.layers,
            "parameters": twin.parameters,
            "weights": list(twin.weights),
        }
        for twin in find_twins()
    ]


def printed(row: Mapping[str, Any]) -> Row:
    """A row as a table shows it."""
    weights = row["weights"]
    more = [f"and {len(weights) - SHOWN} more"] if len(weights) > SHOWN else []
    return {
        "name": row["name"],
        "twins": row["twins"],
        "norm": row["norm"],
        "parameters": f"{row['parameters'] / 1e6:.1f} M",
        "weights": [*weights[:SHOWN], *more] or "none",
    }
