"""TF32, in which torch lets GPUs run convolutions of float32 tensors: whether it does, and passes without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def tf32_allowed() -> bool:
    """Whether GPUs run convolutions in TF32, which is what torch allows unless told otherwise."""
    backends: Any = torch.backends
    try:
        return bool(backends.cudnn.allow_tf32)
    except RuntimeError:
        return bool(backends.cudnn.conv.fp32_precision == "tf32")


@contextmanager
def full_float32() -> Iterator[None]:
    """Passes in float32 as it is, on GPUs too.

    Unless told otherwise, torch lets GPUs round the factors of convolutions to 10 bits of mantissa (TF32), and those of
    matrix products on request. What the user has set is put back.
    """
    backends: Any = torch.backends
    try:
        convolutions, products = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:
        # torch refuses to answer in these words once it was told in its newer ones.
        with _in_newer_words():
            yield
        return
    try:
        backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        yield
    finally:
        backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


@contextmanager
def _in_newer_words() -> Iterator[None]:
    backends: Any = torch.backends
    kinds = (backends.cudnn.conv, backends.cuda.matmul)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
