"""How a network is trained: the `[recipe]` of a card."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from harness.core.numbers import Length, Number
from harness.core.validation import Strict

TrainedNorm = Literal["linf", "l2"]
"""Norms in which PGD, which training and its result rest on, knows a step."""

Part = Literal["all", "norm", "logits", "conv1"]
"""Parameters of a network: all; scales and shifts of its normalization layers; its last linear layer; its first
convolution."""


class AdversarialTraining(Strict):
    """Training images are replaced by adversarial ones, crafted anew in every step (Madry et al. 2018)."""

    norm: TrainedNorm = "linf"
    """Norm of the threat model."""
    epsilon: Number = Field(gt=0)
    """Budget on the [0, 1] pixel scale."""
    steps: int = Field(7, ge=1)
    """Steps of PGD, from a random start."""
    step_size: Length = "eps/4"
    """Length of a step."""
    mode: Literal["eval", "train"] = "eval"
    """Whether BatchNorm uses its running statistics or those of the batch while images are crafted."""
    share: float = Field(1.0, gt=0, le=1)
    """Weight of the adversarial images in the loss; clean images have the rest (1: perturbed images only)."""


class GradientSimilarity(Strict):
    """LIGS as a regularizer (benz2021, figure 4): weight x (1 - LIGS) is added to the loss."""

    weight: float = Field(gt=0)
    """Weight of the term."""
    sigma: float = Field(0.01, gt=0)
    """Standard deviation of the Gaussian noise between the two gradients, on the [0, 1] pixel scale."""


class Changes(Strict):
    """What training changes (walter2022, table 1); the rest of the network stays as it was, bit for bit."""

    parameters: tuple[Part, ...] = Field(default=("all",), strict=False)
    """Which parameters learn; none to change statistics alone, by forward passes."""
    statistics: Literal["update", "reset", "frozen"] = "update"
    """Running statistics of BatchNorm: moved by training; first reset to mean 0 and variance 1; or used and kept."""


class Recipe(Strict):
    """Gradient descent under a learning-rate schedule."""

    epochs: int = Field(ge=1)
    """Passes over the training set."""
    batch_size: int = Field(128, ge=1)
    """Images per step."""
    optimizer: Literal["sgd", "adam", "adagrad"] = "sgd"
    """sgd: with Nesterov momentum."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of sgd."""
    weight_decay: float = Field(5e-4, ge=0)
    """L2 penalty."""
    decay: Literal["matrices", "all"] = "matrices"
    """What decays: weights of two and more dimensions, or biases and norm parameters as well."""
    schedule: Literal["one-cycle", "cosine", "step"] = "one-cycle"
    """one-cycle: linear rise over `warmup`, linear fall to zero; cosine: the same rise, cosine fall; step: the same
    rise, then divided by 10 at every milestone."""
    milestones: tuple[int, ...] = Field((), strict=False)
    """Epochs after which the schedule "step" divides by 10; by default 1/2 and 3/4 of them."""
    warmup: float = Field(0.2, ge=0, lt=1)
    """Share of the steps in which the rate rises."""
    gradient_clip: float | None = Field(None, gt=0)
    """Largest gradient norm; needed by deep networks without normalization."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Mass taken from the true class."""
    crop: int = Field(0, ge=0)
    """Random crops after reflection padding by this many pixels."""
    flip: bool = False
    """Random horizontal flips."""
    autoaugment: bool = False
    """The policy that AutoAugment found for CIFAR-10 (Cubuk et al. 2019)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward and backward passes; weights and statistics stay float32."""
    average: float | None = Field(None, gt=0, lt=1)
    """Decay of a moving average of the weights, step by step, which is what is kept and measured; none by default."""
    compile: bool = False
    """Whether passes run through torch.compile."""
    snapshots: tuple[int, ...] = Field((), strict=False)
    """Epochs after which the weights are kept, as zoo:NAME@epochN."""
    adversarial: AdversarialTraining | None = None
    """How training images are attacked; none by default."""
    gradient_similarity: GradientSimilarity | None = None
    """LIGS as a regularizer; none by default."""
    changes: Changes = Changes()
    """What training changes; everything by default."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, epochs in (("milestones", self.milestones), ("snapshots", self.snapshots)):
            if any(not 1 <= epoch <= self.epochs for epoch in epochs) or list(epochs) != sorted(set(epochs)):
                raise ValueError(f"{name} must be rising epochs from 1 to {self.epochs}")
        if self.milestones and self.schedule != "step":
            raise ValueError(f'milestones belong to schedule = "step", not "{self.schedule}"')
        if not self.changes.parameters and self.changes.statistics == "frozen":
            raise ValueError("changes must leave something to change")
        if not self.changes.parameters and self.gradient_similarity:
            raise ValueError("gradient_similarity is learnt, and no parameter is changed")
        if self.compile and self.gradient_similarity:
            raise ValueError("gradient_similarity differentiates twice, which torch.compile cannot; leave compile out")
        if not self.changes.parameters and self.average:
            raise ValueError("average is of weights, and no parameter is changed")
        return self
