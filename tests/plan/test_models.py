"""A table of `[[models]]` becomes a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from torch import Tensor, nn

from harness.core.geometry import Geometry, square
from harness.data import Dataset
from harness.models.classifier import Classifier, Provenance
from harness.plan import probing
from harness.plan.models import open_model
from harness.plan.probing import timed
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


@pytest.mark.parametrize(("moment", "batches"), [(60, [4, 16, 40]), (0, [4])])
def test_a_model_is_timed_on_as_many_images_at_once_as_a_moment_allows(
    moment: float, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Flat(nn.Flatten):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(len(images))
            return super().forward(images)

    numbers = np.arange(40)
    data = Dataset("forty", np.zeros((40, 1, 2, 2), np.uint8), numbers % 4, numbers, tuple("0123"), "")
    monkeypatch.setattr(probing, "TIMED_SECONDS", moment)
    assert timed(Classifier(Flat(), Provenance("flat")), data, ModelSpec.model_validate(UNTRAINED)) > 0
    assert seen == batches
