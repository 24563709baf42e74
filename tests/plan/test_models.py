"""A table of `[[models]]` becomes a model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.core.geometry import Geometry, square
from harness.plan.models import open_model
from harness.spec import ModelSpec

UNTRAINED = {"name": "small", "id": "timm:test_resnet@none"}


@pytest.mark.parametrize(
    ("keys", "geometry"),
    [
        ({}, Geometry(168, 160, 160)),
        ({"crop": 96}, square(96)),
        ({"resize": 110, "crop": 96, "interpolation": "bicubic"}, Geometry(110, 96, 96, "bicubic")),
    ],
)
def test_the_keys_of_a_geometry_reach_the_model(keys: dict[str, Any], geometry: Geometry) -> None:
    assert open_model(ModelSpec.model_validate({**UNTRAINED, **keys})).geometry == geometry


@pytest.mark.parametrize("keys", [{"crop": 0}, {"resize": "256"}, {"interpolation": "cubic"}])
def test_a_geometry_that_cannot_be_is_a_mistake_of_the_file(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelSpec.model_validate({**UNTRAINED, **keys})
