"""Model cards: what a zoo model is, how it was trained, and what came out.

A card is a TOML file `<name>.toml`, which may extend another one; its weights lie beside it in `<name>.safetensors`.
Everything above the table `[result]` is written by people and kept as it is; `[result]` is written by training.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.core import cards
from harness.core.cards import file_sha256 as file_sha256
from harness.core.numbers import Number
from harness.core.validation import Strict
from harness.models.recipe import Recipe, TrainedNorm

LARGEST_SEED = 2**63 - 1


class Architecture(Strict):
    """A network of `harness.models.networks` and its arguments."""

    network: str
    """Registered name, such as "resnet20"."""
    norm: str = "bn"
    """Normalization layer by name."""
    width: int | None = Field(None, ge=1)
    """Channels of the first stage; by default those of the paper."""
    classes: int = Field(10, ge=2)
    """Number of classes."""
    channels: int = Field(3, ge=1)
    """Image channels."""
    activation: str | None = None
    """Activation function by name; the network's own by default."""
    shortcut: bool | None = None
    """Whether residual blocks add their input; they do by default."""
    stem: Literal["small", "large"] | None = None
    """For which images a ResNet begins: 3x3, or 7x7 with stride 2 and pooling; small by default."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys for the network; those that were left to it are not among them."""
        return self.model_dump(exclude={"network"}, exclude_none=True)


class Threat(Strict):
    """A threat model under which the finished network is measured."""

    norm: TrainedNorm
    """linf or l2."""
    epsilon: Number = Field(gt=0)
    """Budget on the [0, 1] pixel scale."""


class DataKeys(BaseModel):
    """A data set, whole. Further keys go to its loader."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    """Registered name, such as "cifar10"."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys for the loader."""
        return dict(self.model_extra or {})


class Card(Strict):
    """One zoo model."""

    summary: str
    """One line for listings."""
    architecture: Architecture
    recipe: Recipe
    start: str | None = None
    """Model id of the weights that training starts from, such as "zoo:cifar10-resnet20-bn"; fresh ones by default."""
    train_data: DataKeys
    """The training set."""
    test_data: DataKeys
    """The set on which clean accuracy is measured."""
    mean: tuple[float, ...] = Field((0.0,), strict=False)
    """Standardization inside the model, per channel."""
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field((1.0,), strict=False)
    """Standardization inside the model, per channel."""
    seed: int = Field(0, ge=-LARGEST_SEED, le=LARGEST_SEED)
    """Seed of initialization, batch order and augmentation."""
    weights: Literal["float32", "float16"] = "float32"
    """Type in which weights are kept; accuracies are those of the kept weights."""
    robustness: tuple[Threat, ...] = Field(
        (Threat(norm="l2", epsilon=0.25), Threat(norm="linf", epsilon=1 / 255)), strict=False
    )
    """Threat models of the PGD accuracies in the result."""
    result: dict[str, Any] = Field(default_factory=dict)
    """What training measured: sha256 of the weights, accuracies, epochs, seconds, device."""

    @model_validator(mode="after")
    def _standardizes_the_channels_that_there_are(self) -> Self:
        channels = self.architecture.channels
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise ValueError(
                    f"{name} has {len(numbers)} numbers; write one, or one for each of {channels} channels"
                )
        return self

    @model_validator(mode="after")
    def _keeps_what_training_leaves(self) -> Self:
        changes = self.recipe.changes
        leaves = "all" not in changes.parameters or changes.statistics == "frozen"
        if self.start and leaves and self.weights == "float16":
            raise ValueError(
                'weights = "float16" would round what recipe.changes leaves as the start has it; write "float32"'
            )
        return self

    @property
    def asked(self) -> str:
        """sha256 over all that shapes the weights but the data: another question has other weights.

        Defaults are left out, so that a key which is added later leaves the cards of today as they are.
        """
        keys = {"architecture", "recipe", "start", "mean", "std", "seed", "weights"}
        asked = self.model_dump(mode="json", include=keys, exclude_defaults=True)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    @property
    def asked_data(self) -> str:
        """sha256 over the table of the training data, without where its files lie."""
        table = self.train_data.model_dump(mode="json", exclude={"root", "download"})
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()

    @property
    def changed(self) -> bool:
        """Whether people changed the card since it was trained, as far as its weights depend on it.

        A result that does not tell what was asked could be of any card, and counts as one of another. Older results do
        not tell their data's table.
        """
        if not self.result:
            return False
        data = self.result.get("asked_data", self.asked_data)
        return bool(self.result.get("asked") != self.asked or data != self.asked_data)


def zoo_cards() -> dict[str, Path]:
    """Every zoo model's name and card file, from HARNESS_ZOO, `./model_zoo` and the shipped zoo; the first one wins."""
    return cards.cards_in(cards.card_directories("model_zoo", "HARNESS_ZOO"))


def read_card(path: Path) -> Card:
    """Read and validate a card with what it extends. Raises HarnessError naming file and key."""
    return cards.read_card(path, Card)


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Replace the card's `[result]` table, leaving everything above it as it is."""
    cards.write_result(path, result, "train")


def weights_path(card_path: Path, epoch: int | None = None) -> Path:
    """The weights that belong to a card: those of the end, or those after an epoch."""
    stem = card_path.stem if epoch is None else f"{card_path.stem}@epoch{epoch}"
    return card_path.with_name(f"{stem}.safetensors")
