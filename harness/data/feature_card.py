"""Cards of feature sets: from which images and which network a set is extracted, and what came out.

A card is a TOML file `<name>.toml`; `harness extract <name>` writes the set into the store and the table `[result]`
into the card.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.core.cards import card_directories, cards_in, read_card
from harness.core.numbers import Number
from harness.core.precision import PassPrecision
from harness.core.threat import Norm
from harness.core.validation import Strict

Kind = Literal["match", "rand", "det", "conflict"]
"""What images are changed towards. match: the activations of an image of another class, whose label they take (D_R
with a robust network, D_NR with a standard one). rand, det, conflict: a class, which becomes their label: a random
other one (D_rand), the next one (D_det), the previous one (D_conflict, from images of D_R)."""


class SourceKeys(BaseModel):
    """`[source]`: the images that a set is made of. Further keys go to the data set's loader."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    id: str
    """Registered name, such as "cifar10", or "features" for another feature set."""
    samples: int | None = Field(default=None, ge=1)
    """How many images; default all."""
    indices: Literal["balanced", "first"] = "balanced"
    """balanced: equally many per class; first: the first ones."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys for the loader."""
        return dict(self.model_extra or {})


class Descent(Strict):
    """`[descent]`: steps of one length along the normalized gradient, kept in a ball and in [0, 1]."""

    norm: Norm = "l2"
    """Norm in which a step has its length and the ball its radius."""
    epsilon: Number | None = Field(default=None, gt=0)
    """Radius on the [0, 1] pixel scale; without it, only [0, 1] bounds the images."""
    steps: int = Field(ge=1)
    """Number of steps."""
    step_size: Number = Field(gt=0)
    """Length of a step."""


class FeatureCard(Strict):
    """One set of robust or non-robust features (Ilyas et al. 2019; Benz et al. 2021)."""

    summary: str
    """One line for listings."""
    kind: Kind
    """What images are changed towards, and which label they get."""
    model: str
    """Id of the network whose features are extracted, such as "zoo:cifar10-resnet20-bn"."""
    seed: int = 0
    """Seed of the pairing of images (match) and of the random classes (rand)."""
    precision: PassPrecision = "float32"
    """Precision of the forward and backward passes."""
    source: SourceKeys
    descent: Descent
    result: dict[str, Any] = Field(default_factory=dict)
    """What extraction measured."""

    @model_validator(mode="after")
    def _classes_are_reached_within_a_budget(self) -> FeatureCard:
        if self.kind != "match" and self.descent.epsilon is None:
            raise ValueError(f'kind = "{self.kind}" makes bounded adversarial examples: descent.epsilon is required')
        return self

    @property
    def question(self) -> str:
        """sha256 over all that people wrote except the summary: another question is another set."""
        asked = self.model_dump(mode="json", exclude={"result", "summary"})
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def feature_cards() -> dict[str, Path]:
    """Every feature set's name and card file, from HARNESS_FEATURES, `./feature_sets` and the shipped ones."""
    return cards_in(card_directories("feature_sets", "HARNESS_FEATURES"))


def read_feature_card(path: Path) -> FeatureCard:
    """Read and validate a card. Raises HarnessError naming file and key."""
    return read_card(path, FeatureCard)


def features_folder() -> Path:
    """Where sets are kept: `features` in the store (HARNESS_STORE, else `.harness`)."""
    return Path(os.environ.get("HARNESS_STORE") or ".harness") / "features"


def features_file(card_path: Path) -> Path:
    """The images and labels that belong to a card."""
    return features_folder() / f"{card_path.stem}.safetensors"
