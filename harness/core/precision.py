"""In which precision attacks craft. Judging is always float32 in full, on the original model.

Gradients survive bfloat16, small differences of scores do not: attacks that live on those ask a twin in float32
(`Setting.exactly`).
"""

from __future__ import annotations

from typing import Literal

PassPrecision = Literal["float32", "bfloat16"]
"""Precision of the forward and backward passes of a fast twin; images, steps and losses are float32."""

Precision = Literal["float32", "bfloat16", "screen"]
"""A policy. screen: bfloat16 first, then float32 for the samples that survived."""


def stages(policy: Precision) -> tuple[PassPrecision, ...]:
    """The precisions in which samples are attacked, one after the other; only survivors meet the next."""
    return ("bfloat16", "float32") if policy == "screen" else (policy,)
