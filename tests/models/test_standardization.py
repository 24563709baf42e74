"""What a suite may say about the standardization of a model."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.models import load_model


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean": [0.5]}, "give mean and std together, or neither"),
        ({"mean": [0.5], "std": [0.2, 0.2]}, "mean has 1 numbers and std has 2"),
        ({"mean": [0.5], "std": [0.0]}, "std greater than 0"),
        ({"mean": [0.5], "std": [float("nan")]}, "std greater than 0"),
        ({"mean": [float("inf")], "std": [0.2]}, "mean must be finite"),
        ({"mean": [125.3], "std": [63.0]}, r"divide mean and std by 255: mean = \[0.4914\]"),
    ],
)
def test_what_standardizes_nothing_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_model("torchvision:resnet18@none", **given)
