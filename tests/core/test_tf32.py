"""Full float32: nothing is rounded inside, and what the user has set stands afterwards, in whichever words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from harness.core.tf32 import full_float32, tf32_allowed
from harness.judging import predict
from harness.models import load_model

BACKENDS: Any = torch.backends


@pytest.fixture
def rounding() -> Iterator[None]:
    """What the user may have allowed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


def test_nothing_is_rounded_inside_and_settings_are_put_back(rounding: None) -> None:
    assert tf32_allowed()
    with full_float32():
        assert not tf32_allowed()
        assert not BACKENDS.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    assert BACKENDS.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "medium"


@pytest.mark.skipif(not hasattr(BACKENDS.cudnn, "conv"), reason="this torch has one way to say it")
def test_settings_in_torchs_newer_words_are_kept_too() -> None:
    products = BACKENDS.cuda.matmul
    before = products.fp32_precision
    products.fp32_precision = "tf32"
    try:
        assert tf32_allowed()
        with full_float32():
            assert not tf32_allowed()
            assert products.fp32_precision == BACKENDS.cudnn.conv.fp32_precision == "ieee"
        assert products.fp32_precision == "tf32"
        assert BACKENDS.cudnn.conv.fp32_precision == "tf32"
    finally:
        products.fp32_precision = before


def test_models_are_judged_in_it(rounding: None) -> None:
    model, seen = load_model("zoo:digits-resnet8-bn"), []
    model.register_forward_hook(lambda *_: seen.append(torch.get_float32_matmul_precision()))
    predict(model, torch.rand(2, 1, 8, 8))
    assert seen == ["highest"]
