"""`autoattack:ENSEMBLE`: the official AutoAttack package (fra31/auto-attack), fenced in, as a second implementation.

Our own `autoattack` is what suites use; this one is for checking it. Its results depend on the batch that a sample is
in, because Square draws one window for all and restarts draw over all, so the batch size is part of the question.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, get_args

import torch
from torch import Tensor, nn

from harness.attacks import Attack, Crafted, Model, Samples, Setting
from harness.attacks.autoattack import ENSEMBLES, Ensemble
from harness.attacks.fence import NORMS, Counting, classes_of, seed_of, seeded
from harness.core.errors import HarnessError, did_you_mean
from harness.core.threat import Norm, ThreatModel
from harness.models.classifier import undisturbed

FEWEST_CLASSES: dict[Ensemble, int] = {"standard": 10, "plus": 10, "rand": 3}
"""Nine targets beside the true class, whatever the number of classes; the DLR loss looks at three logits."""


@dataclass(frozen=True)
class OfficialAutoAttack:
    """One of the package's ensembles."""

    ensemble: Ensemble
    norms: frozenset[Norm] = frozenset({"linf", "l2", "l1"})
    batch_dependent: bool = True
    members: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The package's version, where it has one."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return f"autoattack-{version('autoattack')}"
        except PackageNotFoundError:
            return "autoattack"

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model. Raises HarnessError for any goal but the untargeted one."""
        if threat.goal != "untargeted":
            raise HarnessError('AutoAttack is made for the goal "untargeted"')
        return {}

    def cost(self, setting: Setting) -> int:
        """See `Attack`: about what our own needs for the same steps."""
        return ENSEMBLES[self.ensemble](setting.threat.norm).cost(setting)

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Runs whole batches; the passes of a sample are the mean of its batch."""
        assert isinstance(model, nn.Module)
        if (known := classes_of(model, samples)) < FEWEST_CLASSES[self.ensemble]:
            raise HarnessError(
                f"the official package's {self.ensemble} needs a model with at least {FEWEST_CLASSES[self.ensemble]} "
                f'classes, and this one has {known}; our own works with any number: "autoattack"'
            )
        for rows in torch.split(torch.arange(len(samples), device=samples.classes.device), setting.batch_size):
            images = samples.pixels(rows)
            seed = seed_of(setting, samples.indices[rows])
            with undisturbed(model), seeded(seed), untraced(), contextlib.redirect_stdout(io.StringIO()):
                counting = Counting(model)
                adversarial = self._run(counting, images, samples.classes[rows], setting.threat, seed)
            yield Crafted(rows, adversarial, counting.passes(rows), torch.zeros_like(rows, dtype=torch.bool))

    def _run(self, model: nn.Module, images: Tensor, classes: Tensor, threat: ThreatModel, seed: int) -> Tensor:
        from autoattack import AutoAttack

        attack = AutoAttack(
            model, norm=NORMS[threat.norm], eps=threat.epsilon, version=self.ensemble, seed=seed, verbose=False,
            device=images.device,
        )  # fmt: skip
        adversarial: Tensor = attack.run_standard_evaluation(images.contiguous(), classes, bs=len(images))
        return adversarial.detach()


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Put the tracing function of debuggers and coverage back: the package removes it."""
    tracing = sys.gettrace()
    try:
        yield
    finally:
        sys.settrace(tracing)


def factory_of(name: str) -> Callable[..., Attack]:
    """A factory for one ensemble, without parameters: names that a paper owns are not changed.

    Raises:
        HarnessError: when there is no such ensemble, or the package is not installed.
    """
    ensemble: Ensemble | None = next((known for known in get_args(Ensemble) if known == name), None)
    if ensemble is None:
        raise HarnessError(f'the official package has no ensemble "{name}".\n     {did_you_mean(name, ENSEMBLES)}')
    if find_spec("autoattack") is None:
        raise HarnessError(
            f'attack "autoattack:{ensemble}" needs the official package: '
            'pip install -e ".[autoattack]" in the clone of this repository; our own needs nothing: name = "autoattack"'
        )

    def factory() -> Attack:
        return OfficialAutoAttack(ensemble)

    factory.__doc__ = f"The official AutoAttack package, {ensemble} ensemble."
    return factory
