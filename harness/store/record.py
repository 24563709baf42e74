"""What the store keeps of a cell: the question, the answer, and how it came about."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from harness.core.precision import Precision
from harness.core.validation import Closed

SCHEMA_VERSION = 2

OUTCOME_COLUMNS = {
    "index": "int64",  # position of the image in the whole data set
    "label": "int16",  # true class
    "wanted": "int16",  # class that a targeted attack aims at; the true class when untargeted
    "clean_prediction": "int16",  # the target's prediction on the clean image; -1 when its logits are not finite
    "adversarial_prediction": "int16",  # the target's prediction on the adversarial image; -1 likewise
    "success": "bool",  # untargeted: adversarial prediction is wrong; targeted: it is the wanted class
    "linf": "float32",  # largest pixel change
    "l2": "float32",  # Euclidean norm of the change
    "l1": "float32",  # sum of the absolute pixel changes
    "passes": "int32",  # passes through the surrogate that the attack spent on the sample
    "zero_gradient": "bool",  # some gradient of the attack was exactly zero everywhere
    "member": "int16",  # of a composed attack, the member that made the image; -1 for all others
}
"""The columns of `outcomes.parquet` and their types."""


CARRIED = "carried"
"""Argument of questions whose target takes images of another size than the surrogate: size and scaling."""


class Question(Closed):
    """Everything that a cell's numbers depend on, and nothing else: its hash is the cell's id."""

    mode: Literal["clean", "whitebox", "transfer"]
    """clean: no attack; whitebox: stop at the first success on the target itself; transfer: run all steps."""
    target: str
    """Fingerprint of the model that is judged."""
    surrogate: str
    """Fingerprint of the model that crafts; the target's own for clean and white-box cells."""
    dataset: str
    """Fingerprint over pixels, labels and indices of the images used."""
    attack: str | None = None
    """Registered name of the attack."""
    arguments: dict[str, Any] = {}
    """Every argument of the attack, defaults included."""
    attack_version: str | None = None
    """Semantic version of the attack's implementation."""
    norm: str | None = None
    """Norm of the threat model."""
    epsilon: float | None = None
    """Budget on the [0, 1] pixel scale."""
    goal: str | None = None
    """untargeted, or how the wanted class is chosen."""
    seed: int = 0
    """Seed of every random number."""
    precision: Precision = "float32"
    """Precision policy of crafting; judging is always float32."""

    @property
    def crafting(self) -> str:
        """The id of what is crafted, whoever is asked about it: that of the question without its target."""
        arguments = {key: value for key, value in self.arguments.items() if key != CARRIED}
        return self.model_copy(update={"target": "", "arguments": arguments}).id

    @property
    def id(self) -> str:
        """sha256 over the canonical JSON of the question."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class ModelDescription(Closed):
    """A model as records remember it."""

    id: str
    """What `load_model` was asked for."""
    fingerprint: str
    """sha256 over architecture and state."""
    norm: str
    """Family of most normalization layers: none, bn, gn, ln, in, rn, or what another kind is called."""
    norm_layers: dict[str, int]
    """Layers per family."""
    parameters: int
    """Number of parameters."""
    random_weights: bool = False
    """True for weights that were never trained."""
    batch_dependent: bool = False
    """Whether predictions depend on the other images of a batch, as far as the layers show."""
    details: dict[str, Any] = {}
    """What the source knows: files, hashes, recipe; and the view, where one was asked for."""


class Record(Closed):
    """The answer to one question, and how it came about."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    id: str
    """The question's id."""
    question: Question
    """What was asked."""
    target: ModelDescription
    """The judged model."""
    surrogate: ModelDescription
    """The crafting model."""
    dataset: str
    """How reports name the data."""
    passed: dict[str, Any] = {}
    """The attack's arguments as the suite gave them."""
    n: int
    """Number of samples."""
    values: dict[str, float]
    """Aggregates over all samples: clean_accuracy, robust_accuracy, mean distances, passes."""
    flags: dict[str, int] = {}
    """Warning signs (`harness.metrics.flags`) and the number of samples that show them."""
    examined: int = 0
    """Of a clean cell: the number of images on which the model itself was examined for warning signs."""
    environment: dict[str, Any]
    """Package versions, commit and dirty flag of the source tree, platform, device."""
    wall_seconds: float
    """Time spent crafting and judging this cell (crafting shared by several targets counts once for each)."""
    created: str
    """UTC time of writing, ISO 8601."""
