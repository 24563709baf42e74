"""Counter-based random numbers: a pure function of (seed, purpose, image index, step).

No generator is consumed and nothing global is seeded, so that a number is the same on every device, in every batch,
in any order and after a resume. The mixing function is SplitMix64 (Steele, Lea & Flood 2014), whose n-th output is
by construction a hash of a counter.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """A 64-bit pattern as the signed integer that torch stores."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


_GAMMA = _signed(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = _signed(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = _signed(0x94D049BB133111EB)


def _shift(bits: Tensor, count: int) -> Tensor:
    """Logical right shift; torch's own is arithmetic."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def mix(bits: Tensor) -> Tensor:
    """SplitMix64's output function on int64 tensors; multiplication wraps around."""
    bits = (bits ^ _shift(bits, 30)) * _MULTIPLIER_1
    bits = (bits ^ _shift(bits, 27)) * _MULTIPLIER_2
    return bits ^ _shift(bits, 31)


def _purpose_key(purpose: str) -> int:
    return _signed(int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big"))


@dataclass(frozen=True)
class Draws:
    """Random numbers for a batch of samples, one row each."""

    seed: int
    """The suite's seed."""
    indices: Tensor
    """(N,) positions of the samples in their data set."""
    steps: Tensor
    """(N,) step of each sample's own run."""
    run: int | Tensor = 0
    """Number of the restart, of all samples or of each, (N,)."""

    def select(self, rows: Tensor) -> Draws:
        """The draws of some of the samples."""
        run = self.run[rows] if isinstance(self.run, Tensor) else self.run
        return Draws(self.seed, self.indices[rows], self.steps[rows], run)

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), float32 with 24 random bits, (N, *shape)."""
        run = torch.as_tensor(self.run, device=self.indices.device)
        keys = (run + _signed(self.seed * 0x2545F4914F6CDD1D)) ^ _purpose_key(purpose)
        for part in (self.indices, self.steps):
            keys = mix(keys + (part + 1) * _GAMMA)
        count = math.prod(shape)
        counters = torch.arange(1, count + 1, device=keys.device) * _GAMMA
        bits = mix(keys[:, None] + counters)
        return (_shift(bits, 40).to(torch.float32) * 2.0**-24).view(len(keys), *shape)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Standard normal numbers by the Box-Muller transform, (N, *shape)."""
        radius = torch.sqrt(-2 * torch.log1p(-self.uniform(f"{purpose}/radius", *shape)))
        return radius * torch.cos(2 * math.pi * self.uniform(f"{purpose}/angle", *shape))
