"""`torchattacks:NAME`: any attack of Harry24k/adversarial-attacks-pytorch, fenced in.

What the fence does: the budget comes from the threat model; frozen layers, buffers and flags of the model are put
back; its draws come from generators that are seeded for the batch and restored afterwards. Range and budget of what
it returns are checked by the harness like everybody's. Its results depend on the batch that a sample is in, so the
batch size is part of the question.
"""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.attacks import Attack, Crafted, Model, Samples, Setting
from harness.core.balls import ball_of
from harness.core.errors import HarnessError, did_you_mean
from harness.core.numbers import Number
from harness.core.threat import Norm, ThreatModel
from harness.models.classifier import undisturbed

MINIMAL_NORM: dict[str, Norm] = {"CW": "l2", "DeepFool": "l2"}
"""Attacks without a budget; what they return outside the threat model's ball counts as a failed attempt."""

OTHER_NORMS = frozenset({"JSMA", "OnePixel", "Pixle", "SparseFool", "EADL1", "EADEN", "EAD", "VANILA", "GN", "MultiAttack"})
"""Attacks in norms that no threat model here has, or no attacks at all."""


@dataclass(frozen=True)
class TorchattacksAttack:
    """One torchattacks class with its arguments."""

    name: str
    arguments: dict[str, Any]
    norms: frozenset[Norm]
    batch_dependent: bool = True

    @property
    def version(self) -> str:
        """The package's version: results change with it."""
        from importlib.metadata import version

        return f"torchattacks-{version('torchattacks')}"

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model but the budget itself."""
        return {}

    def cost(self) -> int:
        """See `Attack`: the number of steps, where there is one."""
        return int(self.arguments.get("steps", 1))

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Runs whole batches; never stops a sample early."""
        assert isinstance(model, nn.Module)
        for rows in torch.arange(len(samples), device=samples.classes.device).split(setting.batch_size):
            images = samples.pixels(rows)
            with undisturbed(model), seeded(setting.seed, samples.indices[rows]):
                adversarial = self._run(model, images, samples.classes[rows], setting.threat)
            if self.name in MINIMAL_NORM:
                ball = ball_of(setting.threat)
                outside = ball.distance(images, adversarial) > ball.epsilon
                adversarial = torch.where(outside.view(-1, 1, 1, 1), images, adversarial)
            yield Crafted(rows, adversarial, torch.full_like(rows, self.cost()), torch.zeros_like(rows, dtype=torch.bool))

    def _run(self, model: nn.Module, images: Tensor, classes: Tensor, threat: ThreatModel) -> Tensor:
        attack = instantiate(self.name, model, self.arguments, threat)
        if threat.goal != "untargeted":
            attack.set_mode_targeted_by_label(quiet=True)
        adversarial: Tensor = attack(images.contiguous(), classes)
        return adversarial.detach()


@contextmanager
def seeded(seed: int, indices: Tensor) -> Iterator[None]:
    """Seed the global generators from the batch's indices, and restore them afterwards.

    torch's own generators are restored by `undisturbed`.
    """
    digest = hashlib.sha256(f"{seed}:{indices.tolist()}".encode()).digest()
    number = int.from_bytes(digest[:4], "big")
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - foreign code draws from it
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def instantiate(name: str, model: nn.Module, arguments: dict[str, Any], threat: ThreatModel) -> Any:
    """The torchattacks object for a threat model."""
    import torchattacks

    accepted = inspect.signature(getattr(torchattacks, name).__init__).parameters
    budget: dict[str, Any] = {"eps": threat.epsilon} if "eps" in accepted else {}
    if "norm" in accepted:
        budget["norm"] = {"linf": "Linf", "l2": "L2"}[threat.norm]
    return getattr(torchattacks, name)(model, **budget, **arguments)


def norms_of(name: str, accepted: Any) -> frozenset[Norm]:
    """The norms that a torchattacks class works in."""
    if name in OTHER_NORMS:
        return frozenset()
    if name in MINIMAL_NORM:
        return frozenset({MINIMAL_NORM[name]})
    if "norm" in accepted:
        return frozenset({"linf", "l2"})
    return frozenset({"l2"}) if name.endswith("L2") else frozenset({"linf"})


def factory_of(name: str) -> Callable[..., Attack]:
    """A factory for one class, whose keyword parameters are the class's own, less the model and the budget.

    Raises:
        HarnessError: when there is no such class, or its norm is none of ours.
    """
    import torchattacks

    known = [key for key in torchattacks.__all__ if inspect.isclass(getattr(torchattacks, key, None)) and key not in OTHER_NORMS]
    if name not in known:
        raise HarnessError(f'torchattacks has no attack "{name}" for the norms linf and l2.\n     {did_you_mean(name, known)}')
    accepted = inspect.signature(getattr(torchattacks, name).__init__).parameters
    norms = norms_of(name, accepted)

    def factory(**arguments: Any) -> Attack:
        return TorchattacksAttack(name, arguments, norms)

    factory.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter(p.name, inspect.Parameter.KEYWORD_ONLY, default=p.default, annotation=_annotation(p.default))
        for p in accepted.values()
        if p.name not in ("self", "model", "eps", "norm") and p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty
    ])  # fmt: skip
    factory.__doc__ = f"torchattacks' {name}."
    return factory


def _annotation(default: object) -> Any:
    if isinstance(default, float):
        return Number
    return type(default) if isinstance(default, bool | int | str) else Any
