"""Whether passes in bfloat16 are worth asking for."""

from __future__ import annotations

import torch

SLOW = "this CPU has no instructions for bfloat16, in which its passes take about ten times as long as in float32"
"""Measured: a training step of ResNet-20 in 7.2 s instead of 0.64 (AMD Zen 3, one thread)."""


def is_slow_in_bfloat16(device: torch.device) -> bool:
    """Whether a device has to emulate bfloat16, as CPUs without AVX-512 (on x86) or BF16 (on ARM) do."""
    if device.type != "cpu":
        return False
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and not supported()
