"""The parts of a suite file: data sets, threat models, models, attacks, and what runs on what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from harness.core.geometry import Interpolation
from harness.core.numbers import Number
from harness.core.threat import Goal, Norm, ThreatModel
from harness.core.validation import Strict
from harness.spec.in_paper import AttackInPaper, DatasetInPaper, ModelInPaper, ThreatInPaper
from harness.spec.names import Facts, as_list, distinct, positive


def _named(key: str) -> BeforeValidator:
    """A name alone stands for a table with one key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class ImagesSpec(BaseModel):
    """Which images. Further keys (split, root, path, ...) go to the data set's loader."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    id: str
    """Registered name: digits, cifar10, parquet, folder, ..."""
    samples: int | None = Field(None, ge=1)
    """How many images; default all."""
    indices: Literal["balanced", "first"] | list[int] = "balanced"
    """balanced: equally many per class; first: the first ones; or the indices themselves."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys for the loader."""
        return dict(self.model_extra or {})


class DatasetSpec(ImagesSpec):
    """`[dataset]`: the images that are classified and attacked."""

    keep: Literal["all", "surrogate-correct", "all-correct"] = "all"
    """Which images tables count: all; those that the surrogate gets right; those that every model gets right."""
    label: str | None = None
    """How reports name the data."""
    paper: Annotated[DatasetInPaper, _named("dataset")] = DatasetInPaper()
    """What printed tables call it, such as "cifar10"."""


Budget = Annotated[Number, AfterValidator(positive)]
"""How far an attack may go."""


class ThreatSpec(Strict):
    """`[threat]`: what an attack may change. A list of budgets sweeps."""

    name: str | None = None
    """How attacks and sections refer to it; default the norm."""
    norm: Norm
    """linf, l2 or l1."""
    epsilon: Annotated[list[Budget], Field(min_length=1), BeforeValidator(as_list), AfterValidator(distinct)]
    """Budget on the [0, 1] pixel scale."""
    goal: Goal = "untargeted"
    """untargeted; next: true class + 1; random: a wrong class drawn per image."""
    paper: Annotated[ThreatInPaper, _named("epsilon")] = ThreatInPaper()
    """What printed tables call it, such as { epsilon = 0.02 } where the paper measures in other units."""

    @field_validator("epsilon")
    @classmethod
    def _within_pixels(cls, values: list[float], info: ValidationInfo) -> list[float]:
        """Pixels cannot change by more than 1; L2 and L1 budgets may be that large, or mean that there is none."""
        for value in values if info.data.get("norm") == "linf" else ():
            if value > 1:
                meant = f': did you mean "{value:g}/255"?' if value <= 255 else ""
                raise ValueError(
                    f"{value:g} is more than the whole range of pixels; L∞ budgets are on the [0, 1] scale{meant}"
                )
        return values

    @property
    def models(self) -> list[ThreatModel]:
        """One threat model per budget."""
        return [ThreatModel(self.norm, epsilon, self.goal) for epsilon in self.epsilon]


class ModelSpec(Strict):
    """`[[models]]`: one network."""

    name: str
    """How this file refers to it; unique."""
    id: str
    """What to load: zoo:NAME, torchvision:NAME@WEIGHTS, timm:ARCH.TAG, file:PLACE, python:MODULE:FACTORY."""
    label: str | None = None
    """How tables print it; default the name."""
    facts: Facts = {}
    """Free columns for tables, such as bn = "N"."""
    architecture: str | None = None
    """For file: the network that the weights belong to."""
    arguments: dict[str, Any] = {}
    """For file: and python: keyword arguments of the network or factory."""
    mean: list[float] | None = None
    """Standardization inside the model, per channel; default what the source knows."""
    std: list[float] | None = None
    """Standardization inside the model, per channel; default what the source knows."""
    resize: int | None = Field(None, ge=1)
    """The shorter side of image files is scaled to this many pixels; default what the source knows, or `crop`."""
    crop: int | None = Field(None, ge=1)
    """Side of the square that is cut out of their middle then; default what the source knows."""
    interpolation: Interpolation | None = None
    """How their pixels are scaled; default what the source knows, or bilinear."""
    bn: Literal["population", "batch", "recalibrated", "folded"] | None = None
    """Statistics of BatchNorm layers: running ones, those of the batch at hand, or running ones averaged anew over
    clean images; default what the network does by itself, which is population."""
    calibration: ImagesSpec | None = None
    """The clean images of bn = "recalibrated"; default the training split of the suite's data set."""
    paper: Annotated[ModelInPaper, _named("arch")] = ModelInPaper()
    """What printed tables call it, such as "vgg16" or { arch = "resnet50", training = "adversarial" }."""
    rn: Literal["batch", "tracked"] | None = None
    """Mean of RobustNorm layers: that of the batch at hand, or the one tracked in training; default batch."""


class AttackSpec(BaseModel):
    """`[[attacks]]`: one attack. Further keys are the attack's own arguments; a list sweeps."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    name: str
    """Registered name, such as mi-fgsm or torchattacks:PGD."""
    label: str | None = None
    """How tables print it; default the name as papers write it, such as MI-FGSM or DeepFool."""
    preset: str | None = None
    """A named set of arguments where the field disagrees, such as "torchattacks"; single keys override it."""
    threats: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the threat models it runs under; default all whose norm it supports."""
    facts: Facts = {}
    """Free columns for tables, such as implementation = "harness"; no part of the question."""
    paper: Annotated[AttackInPaper, _named("attack")] = AttackInPaper()
    """What printed tables call it, such as "mi_fgsm"."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The attack's own keys, as given."""
        return dict(self.model_extra or {})


Selection = Annotated[list[str], Field(min_length=1), BeforeValidator(as_list)]
"""Names, patterns such as "resnet*", or (for models) filters such as "facts.bn=N"."""


class WhiteboxSpec(Strict):
    """`[whitebox]`: every model attacked with its own gradients."""

    models: Selection = ["*"]
    """Which models; default all."""
    attacks: Selection = ["*"]
    """Which attacks, by name or label; default all."""
    threats: Selection = ["*"]
    """Which threat models; default all."""


class TransferSpec(Strict):
    """`[transfer]`: crafted on surrogates, judged on targets, all steps run."""

    surrogates: Selection = ["*"]
    """Which models craft."""
    targets: Selection = ["*"]
    """Which models are judged."""
    attacks: Selection = ["*"]
    """Which attacks, by name or label; default all."""
    threats: Selection = ["*"]
    """Which threat models; default all."""
