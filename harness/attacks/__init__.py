"""What an attack is.

An attack proposes adversarial images for samples; it never decides whether they count. The harness verifies every
image against the threat model and asks the model itself (`harness.judging`).

To add one, register a callable in a new module of this package that returns an `Attack`. Its keyword parameters are
the TOML keys; their annotations are checked by pydantic before anything runs. `PRESETS` names other defaults for
the same parameters where papers and libraries disagree. `harness.attacks.whole_batches` says which attacks run on
models whose predictions depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from harness.core.losses import margin
from harness.core.randomness import Draws
from harness.core.registry import Registry
from harness.core.threat import Norm, ThreatModel

Model = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) in [0, 1] to logits (N, K)."""


@dataclass(frozen=True)
class Samples:
    """Images to attack."""

    images: Tensor
    """(M, C, H, W), uint8 or float32 in [0, 1]."""
    classes: Tensor
    """(M,) true classes for an untargeted attack, wanted classes for a targeted one."""
    indices: Tensor
    """(M,) positions in the whole data set: the counters of randomness."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.classes)

    def take(self, rows: Tensor) -> Samples:
        """Some of the samples."""
        return Samples(self.images[rows], self.classes[rows], self.indices[rows])

    def pixels(self, rows: Tensor) -> Tensor:
        """float32 images in [0, 1] of some of the samples."""
        return as_float(self.images[rows])

    def draws(self, seed: int, step: int = 0) -> Draws:
        """Random numbers for all samples at one step."""
        return Draws(seed, self.indices, torch.full_like(self.indices, step))


def as_float(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1]; floats stay."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


@dataclass(frozen=True)
class Setting:
    """Under which conditions samples are attacked."""

    threat: ThreatModel
    seed: int = 0
    """Seed of every random number."""
    batch_size: int = 128
    """Samples in flight; changes speed and memory, never a result beyond rounding in the last bit of images."""
    stop_when_fooled: bool = False
    """White-box: a sample is done as soon as the model is fooled. Transfer: every step is run."""
    slack: float = 0.0
    """By how much a logit must lead before the model counts as fooled: what the fast twin may deviate by."""
    run: int = 0
    """Number of the restart, part of every random number."""
    pool: Samples | None = None
    """All images of the data set with their true classes, for attacks that mix images."""
    exact: Callable[[], tuple[Model, float]] | None = None
    """Where the model is a twin in bfloat16, the twin in float32 and its slack."""
    screening: bool = False
    """Whether survivors are attacked again in float32: what compares scores waits for that."""
    classes: int = 10
    """Of the model; what attacks cost may depend on it."""

    def exactly(self, model: Model) -> tuple[Model, Setting]:
        """Model and setting for attacks that compare scores, many of which bfloat16 cannot tell apart."""
        if self.exact is None:
            return model, self
        twin, slack = self.exact()
        return twin, replace(self, slack=slack, exact=None)


class Crafted(NamedTuple):
    """Finished samples of an attack, in any order."""

    rows: Tensor
    """(B,) which samples."""
    adversarial: Tensor
    """(B, C, H, W) float32 images."""
    passes: Tensor
    """(B,) passes through the model spent, with or without a backward half; at least 1."""
    zero_gradient: Tensor
    """(B,) whether some gradient was exactly zero everywhere."""
    member: Tensor | None = None
    """(B,) of a composed attack, which of its members made the image; None for all others."""


class Attack(Protocol):
    """A configured attack."""

    @property
    def norms(self) -> frozenset[Norm]:
        """The norms it works in."""

    @property
    def version(self) -> str:
        """Semantic version of the implementation: part of a cell's id, raised when results change."""

    @property
    def batch_dependent(self) -> bool:
        """Whether a sample's result depends on the others of its batch: then the batch size is part of the question."""

    @property
    def members(self) -> tuple[str, ...]:
        """Names of a composed attack's members, in the order in which they run; empty for all others."""

    def craft(self, model: Model, samples: Samples, setting: Setting) -> Iterator[Crafted]:
        """Propose one adversarial image per sample, yielding samples as they finish."""

    def cost(self, setting: Setting) -> int:
        """How many passes `Crafted` counts at most for a sample: when the model is not fooled until the end."""

    def resolved(self, threat: ThreatModel) -> dict[str, Any]:
        """Arguments whose value depends on the threat model, such as a step size given as "eps/10".

        Raises:
            HarnessError: for a goal that the attack does not know.
        """


class Plain:
    """What most attacks have in common: a first version, results that do not depend on the batch, no members."""

    batch_dependent: ClassVar[bool] = False
    members: ClassVar[tuple[str, ...]] = ()

    @property
    def version(self) -> str:
        """See `Attack`."""
        return "1"


def compares_scores(attack: Attack) -> bool:
    """Whether an attack lives on differences of scores, many of which bfloat16 cannot tell apart.

    It says so with an attribute `compares_scores`; all its passes are float32 then.
    """
    return bool(getattr(attack, "compares_scores", False))


Factory = Callable[..., Attack]

ATTACKS: Registry[Factory] = Registry("attack", package=__name__)

PRESETS: dict[str, Mapping[str, Mapping[str, Any]]] = {}
"""Attack name to preset name to arguments; see the modules that fill it."""


def fooled(logits: Tensor, classes: Tensor, threat: ThreatModel, slack: float = 0.0) -> Tensor:
    """(N,) whether logits reach the attack's goal by more than `slack`; not-finite logits do not.

    `classes` are the true classes of an untargeted attack and the wanted ones of a targeted one.
    """
    lead = margin(logits, classes)
    reached = lead > slack if threat.goal == "untargeted" else lead < -slack
    return reached & logits.isfinite().all(1)
