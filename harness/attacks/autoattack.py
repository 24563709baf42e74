"""AutoAttack: parameter-free attacks one after the other (Croce & Hein 2020; in L1, Croce & Hein 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from harness.attacks import ATTACKS, Attack, Crafted, Model, Samples, Setting
from harness.attacks.apgd import APGD
from harness.attacks.cascade import Cascade
from harness.attacks.fab import fab, fab_t
from harness.attacks.square import square
from harness.core.errors import HarnessError
from harness.core.threat import Norm, ThreatModel

Ensemble = Literal["standard", "plus", "rand"]

EOT = 20
"""Passes averaged in the ensemble for randomised models."""


def standard(norm: Norm) -> Cascade:
    """The ensemble whose numbers are published: four attacks."""
    l1 = norm == "l1"
    return Cascade({
        "apgd-ce": APGD(restarts=5 if l1 else 1), "apgd-t": APGD(targets=5 if l1 else 9), "fab-t": fab_t(),
        "square": square(),
    })  # fmt: skip


def plus(norm: Norm) -> Cascade:
    """Six attacks, the untargeted ones with five restarts."""
    return Cascade({
        "apgd-ce": APGD(restarts=5), "apgd-dlr": APGD(restarts=5, loss="dlr"), "fab": fab(restarts=5),
        "square": square(), "apgd-t": APGD(targets=9), "fab-t": fab_t(),
    })  # fmt: skip


def rand(norm: Norm) -> Cascade:
    """For randomised models: gradients are averaged over twenty passes."""
    return Cascade({"apgd-ce": APGD(eot=EOT), "apgd-dlr": APGD(loss="dlr", eot=EOT)})


ENSEMBLES = {"standard": standard, "plus": plus, "rand": rand}


@dataclass(frozen=True)
class AutoAttack:
    """An ensemble whose members depend on the norm."""

    ensemble: Ensemble
    norms: frozenset[Norm] = frozenset({"linf", "l2", "l1"})
    version: str = "1"
    batch_dependent: bool = False

    @property
    def members(self) -> tuple[str, ...]:
        """The attacks' names: the same in every norm."""
        return ENSEMBLES[self.ensemble]("linf").members

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """The members and their versions. Raises HarnessError for any goal but the untargeted one."""
        if threat.goal != "untargeted":
            raise HarnessError('AutoAttack is made for the goal "untargeted"')
        cascade = ENSEMBLES[self.ensemble](threat.norm)
        return {"members": {name: attack.version for name, attack in cascade.attacks.items()}}

    def cost(self, setting: Setting) -> int:
        """See `Attack`."""
        return ENSEMBLES[self.ensemble](setting.threat.norm).cost(setting)

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`."""
        return ENSEMBLES[self.ensemble](setting.threat.norm).craft(model, samples, setting)


@ATTACKS.register("autoattack")
def autoattack(ensemble: Ensemble = "standard") -> Attack:
    """AutoAttack: APGD-CE, targeted APGD and FAB, Square; only survivors meet the next (Croce & Hein 2020)."""
    return AutoAttack(ensemble)
