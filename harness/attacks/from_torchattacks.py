"""`torchattacks:NAME`: any attack of Harry24k/adversarial-attacks-pytorch, fenced in.

What the fence does: the budget comes from the threat model and every seed from the suite; each layer keeps its own
mode, and buffers and flags of the model are put back; its draws come from generators that are seeded for the batch
and restored afterwards. Range and budget of what it returns are checked by the harness like everybody's. Its results
depend on the batch that a sample is in, so the batch size is part of the question.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.attacks import Attack, Crafted, Model, Samples, Setting
from harness.attacks.fence import NORMS, Counting, classes_of, seed_of, seeded
from harness.attacks.torchattacks_parameters import NOT_KEYS, annotation_of
from harness.attacks.torchattacks_passes import defaults_of, most_passes
from harness.core.balls import Ball, ball_of
from harness.core.errors import HarnessError, did_you_mean
from harness.core.threat import Norm, ThreatModel
from harness.models.classifier import undisturbed

MINIMAL_NORM: dict[str, Norm] = {"CW": "l2", "DeepFool": "l2"}
"""Attacks without a budget; what they return outside the threat model's ball counts as a failed attempt."""

OTHER_NORMS = frozenset({
    "JSMA", "OnePixel", "Pixle", "SparseFool", "EADL1", "EADEN", "EAD", "VANILA", "GN", "MultiAttack", "LGV"
})  # fmt: skip
"""Attacks in norms that no threat model here has, or no attacks on one model's images at all."""

IN_PARTS = frozenset({
    "APGD", "APGDT", "AutoAttack", "DeepFool", "FAB", "PGDRS", "PGDRSL2", "SPSA", "Square"
})  # fmt: skip
"""Attacks that ask about some samples of a batch, or about several points of them, at once."""

NEVER_TARGETED = frozenset({"FAB"})
"""Attacks that offer a targeted mode but go away from the wanted class in it, as if it were the true one."""

FEWEST_CLASSES = {"APGDT": 4, "AutoAttack": 4}
"""How many logits the targeted DLR loss of torchattacks looks at, whatever the number of classes."""


ROUNDING = 1e-4
"""Of a budget: by how much an image may leave the ball and still count as inside but for rounding."""

STAND_IN = nn.BatchNorm2d(1)
"""A model to construct attacks with before there is one; making it draws no random numbers."""


@dataclass(frozen=True)
class TorchattacksAttack:
    """One torchattacks class with its arguments."""

    name: str
    arguments: dict[str, Any]
    norms: frozenset[Norm]
    batch_dependent: bool = True
    members: tuple[str, ...] = ()

    @property
    def whole_batches(self) -> bool:
        """See `harness.attacks.whole_batches`."""
        return self.name not in IN_PARTS

    @property
    def version(self) -> str:
        """The package's version: results change with it."""
        from importlib.metadata import version

        return f"torchattacks-{version('torchattacks')}"

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Nothing depends on the threat model but the budget itself.

        Raises:
            HarnessError: for arguments that the class refuses, or a goal that it does not know.
        """
        try:
            attack = instantiate(self.name, STAND_IN, self.arguments, threat, seed=0)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise HarnessError(
                f"torchattacks' {self.name} refuses its arguments: {error or type(error).__name__}"
            ) from None
        targeted = "targeted" in attack.supported_mode and self.name not in NEVER_TARGETED
        if threat.goal != "untargeted" and not targeted:
            raise HarnessError(f'torchattacks\' {self.name} has no targeted mode; set goal = "untargeted"')
        return {}

    def cost(self, setting: Setting) -> int:
        """See `Attack`."""
        return most_passes(self.name, self.arguments)

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """See `Attack`. Runs whole batches; the passes of a sample are the mean of its batch."""
        assert isinstance(model, nn.Module)
        fitted = replace(self, arguments={**self.arguments, **self._classes_of(model, samples)})
        for rows in torch.split(torch.arange(len(samples), device=samples.classes.device), setting.batch_size):
            images = samples.pixels(rows)
            seed = seed_of(setting, samples.indices[rows])
            with undisturbed(model), seeded(seed):
                counting = Counting(model)
                adversarial = fitted._run(counting, images, samples.classes[rows], setting.threat, seed)
            adversarial = self._within(images, adversarial, ball_of(setting.threat))
            yield Crafted(rows, adversarial, counting.passes(rows), torch.zeros_like(rows, dtype=torch.bool))

    def _within(self, images: Tensor, adversarial: Tensor, ball: Ball) -> Tensor:
        """What the library returns, less what is outside for its lack of a budget, or by its rounding."""
        distance = ball.distance(images, adversarial)
        if self.name in MINIMAL_NORM:
            return torch.where((distance <= ball.epsilon).view(-1, 1, 1, 1), adversarial, images)
        # It sums up the squares of an image in float32, which is off by up to 6e-5 for large ones.
        rounded = (distance > ball.epsilon * (1 + 1e-6)) & (distance <= ball.epsilon * (1 + ROUNDING))
        return torch.where(rounded.view(-1, 1, 1, 1), ball.project(images, adversarial), adversarial)

    def _classes_of(self, model: nn.Module, samples: Samples) -> dict[str, int]:
        """The number of classes for attacks that aim at all but one of them: no more than the model has."""
        asked = {**defaults_of(self.name), **self.arguments}.get("n_classes")
        if asked is None:
            return {}
        known = classes_of(model, samples)
        if known < FEWEST_CLASSES.get(self.name, 0):
            raise HarnessError(
                f"torchattacks' {self.name} needs a model with at least {FEWEST_CLASSES[self.name]} classes, and this "
                f'one has {known}; our own work with any number: "apgd-t", "autoattack"'
            )
        return {"n_classes": min(asked, known)}

    def _run(self, model: nn.Module, images: Tensor, classes: Tensor, threat: ThreatModel, seed: int) -> Tensor:
        attack = instantiate(self.name, model, self.arguments, threat, seed)
        if threat.goal != "untargeted":
            attack.set_mode_targeted_by_label(quiet=True)
        adversarial: Tensor = attack(images.contiguous(), classes)
        return adversarial.detach()


def instantiate(name: str, model: nn.Module, arguments: dict[str, Any], threat: ThreatModel, seed: int) -> Any:
    """The torchattacks object for a threat model."""
    import torchattacks

    accepted = inspect.signature(getattr(torchattacks, name).__init__).parameters
    ours = {"eps": threat.epsilon, "max_epsilon": threat.epsilon, "norm": NORMS[threat.norm], "seed": seed}
    return getattr(torchattacks, name)(model, **{key: ours[key] for key in ours if key in accepted}, **arguments)


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
    """A factory for one class, whose keyword parameters are the class's own, less `NOT_KEYS`.

    Raises:
        HarnessError: when there is no such class, or its norm is none of ours.
    """
    import torchattacks

    known = [
        key
        for key in torchattacks.__all__
        if inspect.isclass(getattr(torchattacks, key, None)) and key not in OTHER_NORMS
    ]
    if name not in known:
        raise HarnessError(
            f'torchattacks has no attack "{name}" for the norms linf and l2.\n     {did_you_mean(name, known)}'
        )
    accepted = inspect.signature(getattr(torchattacks, name).__init__).parameters
    norms = norms_of(name, accepted)

    def factory(**arguments: Any) -> Attack:
        return TorchattacksAttack(name, arguments, norms)

    factory.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter(p.name, inspect.Parameter.KEYWORD_ONLY, default=p.default, annotation=annotation_of(p))
        for p in accepted.values()
        if p.name not in NOT_KEYS and p.kind is p.POSITIONAL_OR_KEYWORD
    ])  # fmt: skip
    factory.__doc__ = f"torchattacks' {name}."
    return factory
