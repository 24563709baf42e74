"""The threat model as data: what an attack may change, and what it must achieve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.core.numbers import as_fraction

Norm = Literal["linf", "l2", "l1"]
Goal = Literal["untargeted", "next", "random"]

NORM_SYMBOLS = {"linf": "L∞", "l2": "L2", "l1": "L1"}


@dataclass(frozen=True)
class ThreatModel:
    """Norm, budget on the [0, 1] pixel scale, and goal.

    `goal` is "untargeted" (any wrong class), "next" (true class + 1, modulo the number of classes) or "random"
    (a wrong class drawn once per image from the seed).
    """

    norm: Norm
    epsilon: float
    goal: Goal = "untargeted"

    @property
    def label(self) -> str:
        """How tables print it, such as "L∞ 8/255"."""
        goal = "" if self.goal == "untargeted" else f", target: {self.goal}"
        return f"{NORM_SYMBOLS[self.norm]} {as_fraction(self.epsilon)}{goal}"
