"""Restarts: an attack run several times, each survivor from other random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from harness.attacks import Crafted, Model, Samples, Setting, fooled
from harness.attacks.loop import GradientAttack
from harness.core.losses import LOSSES
from harness.core.threat import Norm, ThreatModel


@dataclass(frozen=True)
class Restarts:
    """Another attack run several times from other random numbers; only survivors meet the next run.

    Where no sample may stop early, the point of the highest loss is kept.
    """

    attack: GradientAttack
    restarts: int

    @property
    def norms(self) -> frozenset[Norm]:
        """Those of the attack."""
        return self.attack.norms

    @property
    def version(self) -> str:
        """That of the attack."""
        return self.attack.version

    @property
    def batch_dependent(self) -> bool:
        """As the attack."""
        return self.attack.batch_dependent

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """As the attack."""
        return self.attack.resolved(threat)

    def cost(self) -> int:
        """See `Attack`."""
        return self.restarts * self.attack.cost()

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`."""
        loss = LOSSES[self.attack.loss]
        sign = 1 if setting.threat.goal == "untargeted" else -1
        everyone = torch.arange(len(samples), device=samples.classes.device)
        best = torch.full(everyone.shape, -torch.inf, device=everyone.device)
        kept: Tensor | None = None
        passes, vanished = torch.zeros_like(everyone), torch.zeros_like(everyone, dtype=torch.bool)
        remaining = everyone
        for run in range(self.restarts):
            survivors = [everyone[:0]]
            for part in self.attack.craft(model, samples.take(remaining), replace(setting, run=setting.run + run)):
                rows = remaining[part.rows]
                passes[rows] += part.passes
                vanished[rows] |= part.zero_gradient
                with torch.no_grad():
                    logits = model(part.adversarial)
                score = sign * loss(logits, samples.classes[rows])
                over = fooled(logits, samples.classes[rows], setting.threat, setting.slack) & setting.stop_when_fooled
                if over.any():
                    yield Crafted(rows[over], part.adversarial[over], passes[rows[over]], vanished[rows[over]])
                if kept is None:
                    kept = torch.empty((len(samples), *part.adversarial.shape[1:]), device=part.adversarial.device)
                better = ~over & ((score > best[rows]) | (run == 0))
                best[rows[better]], kept[rows[better]] = score[better], part.adversarial[better]
                survivors.append(rows[~over])
            remaining = torch.cat(survivors).sort().values
            if not len(remaining):
                return
        assert kept is not None
        for rows in torch.split(remaining, setting.batch_size):
            yield Crafted(rows, kept[rows], passes[rows], vanished[rows])
