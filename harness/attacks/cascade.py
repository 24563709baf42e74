"""Several attacks as one: only survivors meet the next, and the first image that fools is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.attacks import Attack, Crafted, Model, Samples, Setting, compares_scores, fooled
from harness.core.threat import Norm, ThreatModel


@dataclass(frozen=True)
class Cascade:
    """Named attacks, in the order in which they run."""

    attacks: Mapping[str, Attack]
    version: str = "1"

    @property
    def members(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.attacks)

    @property
    def norms(self) -> frozenset[Norm]:
        """The norms that all of them work in."""
        return frozenset.intersection(*(attack.norms for attack in self.attacks.values()))

    @property
    def batch_dependent(self) -> bool:
        """Whether one of them is."""
        return any(attack.batch_dependent for attack in self.attacks.values())

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """What depends on the threat model in each. Raises HarnessError for a goal that one of them does not know."""
        return {
            f"{name}.{key}": value
            for name, attack in self.attacks.items()
            for key, value in attack.resolved(threat).items()
        }

    def cost(self, setting: Setting) -> int:
        """See `Attack`: that of all members, and a look at what each proposes."""
        return sum(attack.cost(setting) + 1 for attack in self.attacks.values())

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Survivors propose the last attack's point, or an earlier one that fooled by next to nothing."""
        spent, near, (judge, careful) = Spent.by(samples), Near(), setting.exactly(model)
        remaining = torch.arange(len(samples), device=samples.classes.device)
        running = [
            (number, attack)
            for number, attack in enumerate(self.attacks.values())
            if not (setting.screening and compares_scores(attack))
        ]
        for number, attack in running:
            survivors = [remaining[:0]]
            for part in attack.craft(model, samples.take(remaining), setting):
                rows = remaining[part.rows]
                spent.add(rows, part)
                with torch.no_grad():
                    logits = judge(part.adversarial)
                success = fooled(logits, samples.classes[rows], setting.threat, careful.slack)
                barely = fooled(logits, samples.classes[rows], setting.threat) & ~success
                near.note(rows[barely], part.adversarial[barely], number)
                if success.any():
                    yield spent.crafted(rows[success], part.adversarial[success], number)
                if number == running[-1][0] and (~success).any():
                    yield from near.recall(spent, rows[~success], part.adversarial[~success], number)
                survivors.append(rows[~success])
            remaining = torch.cat(survivors).sort().values
            if not len(remaining):
                return


@dataclass(frozen=True)
class Spent:
    """What all attacks together have spent on every sample."""

    passes: Tensor
    zero_gradient: Tensor

    @classmethod
    def by(cls, samples: Samples) -> Spent:
        """Nothing yet."""
        nothing = torch.zeros_like(samples.classes)
        return cls(nothing, nothing.bool())

    def add(self, rows: Tensor, part: Crafted) -> None:
        """What one attack spent on some samples, and the look at what it proposes."""
        self.passes[rows] += part.passes + 1
        self.zero_gradient[rows] |= part.zero_gradient

    def crafted(self, rows: Tensor, adversarial: Tensor, member: int) -> Crafted:
        """Finished samples."""
        number = torch.full_like(rows, member)
        return Crafted(rows, adversarial, self.passes[rows], self.zero_gradient[rows], number)


@dataclass(frozen=True)
class Near:
    """Points that fool the fast twin by less than it may deviate from the original, which has the last word."""

    points: dict[int, tuple[Tensor, int]] = field(default_factory=dict)

    def note(self, rows: Tensor, adversarial: Tensor, member: int) -> None:
        """Keep the first such point of every sample."""
        for row, point in zip(rows.tolist(), adversarial, strict=True):
            self.points.setdefault(row, (point.clone(), member))

    def recall(self, spent: Spent, rows: Tensor, adversarial: Tensor, member: int) -> Iterator[Crafted]:
        """Survivors, with their kept points where there are any."""
        kept = torch.tensor([row in self.points for row in rows.tolist()], device=rows.device)
        for row in rows[kept].tolist():
            point, maker = self.points[row]
            yield spent.crafted(rows.new_tensor([row]), point[None], maker)
        if (~kept).any():
            yield spent.crafted(rows[~kept], adversarial[~kept], member)
