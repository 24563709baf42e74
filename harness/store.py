"""The store: a content-addressed folder of records, shared by all suites.

    <store>/records/<first two of id>/<id>/record.json        the question, where it came from, aggregate values
                                           outcomes.parquet   what happened to every sample
    <store>/partial/<id>/<number>.parquet                     finished batches of an unfinished cell
    <store>/failures/<id>.txt                                 why a cell has no record; retried by the next run

Every file is written under a temporary name and renamed, so that a kill leaves whole files only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from harness.core.errors import HarnessError

SCHEMA_VERSION = 1

OUTCOME_COLUMNS = {
    "index": "int64",  # position of the image in the whole data set
    "label": "int16",  # true class
    "wanted": "int16",  # class that a targeted attack aims at; the true class when untargeted
    "clean_prediction": "int16",  # the target's prediction on the clean image; -1 when its logits are not finite
    "adversarial_prediction": "int16",  # the target's prediction on the adversarial image; -1 likewise
    "success": "bool",  # untargeted: adversarial prediction is wrong; targeted: it is the wanted class
    "linf": "float32",  # largest pixel change
    "l2": "float32",  # Euclidean norm of the change
    "passes": "int32",  # forward-and-backward passes that the attack spent on the sample
    "zero_gradient": "bool",  # some gradient of the attack was exactly zero everywhere
}
"""The columns of `outcomes.parquet` and their types."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Strict):
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
    precision: str = "float32"
    """Precision policy of crafting; judging is always float32."""

    @property
    def id(self) -> str:
        """sha256 over the canonical JSON of the question."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class ModelDescription(_Strict):
    """A model as records remember it."""

    id: str
    """What `load_model` was asked for."""
    fingerprint: str
    """sha256 over architecture and state."""
    norm: str
    """Family of most normalization layers: none, bn, gn, ln, in, other."""
    norm_layers: dict[str, int]
    """Layers per family."""
    parameters: int
    """Number of parameters."""
    random_weights: bool = False
    """True for weights that were never trained."""
    details: dict[str, Any] = {}
    """What the source knows: files, hashes, recipe."""


class Record(_Strict):
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
    """Warning signs and the number of samples that show them, such as zero_gradient or nonfinite_logits."""
    environment: dict[str, Any]
    """Package versions, commit and dirty flag of the source tree, platform, device."""
    wall_seconds: float
    """Time spent crafting and judging this cell (crafting shared by several targets counts once for each)."""
    created: str
    """UTC time of writing, ISO 8601."""


class Store:
    """A folder of records."""

    def __init__(self, path: str | Path | None = None) -> None:
        """`path`: default HARNESS_STORE, else `.harness`."""
        self.path = Path(path or os.environ.get("HARNESS_STORE") or ".harness")

    def __contains__(self, id: object) -> bool:
        """Whether the cell is finished."""
        return (self._folder(str(id)) / "record.json").exists()

    def read(self, id: str) -> Record:
        """A finished cell's record. Raises HarnessError when it is missing, damaged or of another schema."""
        path = self._folder(id) / "record.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError) as error:
            raise HarnessError(f"record {path} cannot be read ({error}); delete its folder to have it computed again") from None
        if content.get("schema_version") != SCHEMA_VERSION:
            raise HarnessError(f"record {path} has schema {content.get('schema_version')}, this version reads {SCHEMA_VERSION}")
        return Record.model_validate(content)

    def outcomes(self, id: str) -> pd.DataFrame:
        """A finished cell's samples, in the order of the data set's indices; columns as in `OUTCOME_COLUMNS`."""
        return pd.read_parquet(self._folder(id) / "outcomes.parquet")

    def write(self, record: Record, outcomes: pd.DataFrame) -> None:
        """File a finished cell and drop its partial batches and old failure."""
        folder = self._folder(record.id)
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        temporary.mkdir(parents=True, exist_ok=True)
        ordered = outcomes.astype(OUTCOME_COLUMNS)[list(OUTCOME_COLUMNS)].sort_values("index", ignore_index=True)
        ordered.to_parquet(temporary / "outcomes.parquet", index=False)
        (temporary / "record.json").write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
        shutil.rmtree(self._partial(record.id), ignore_errors=True)
        self._failure(record.id).unlink(missing_ok=True)

    def partial(self, id: str) -> pd.DataFrame | None:
        """The finished batches of an unfinished cell; None when there are none."""
        files = sorted(self._partial(id).glob("*.parquet"))
        return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True) if files else None

    def append(self, id: str, outcomes: pd.DataFrame) -> None:
        """Keep finished batches of an unfinished cell."""
        folder = self._partial(id)
        folder.mkdir(parents=True, exist_ok=True)
        number = sum(1 for _ in folder.glob("*.parquet"))
        temporary = folder / f"{number:06d}.tmp"
        outcomes.astype(OUTCOME_COLUMNS)[list(OUTCOME_COLUMNS)].to_parquet(temporary, index=False)
        temporary.replace(folder / f"{number:06d}.parquet")

    def fail(self, id: str, reason: str) -> None:
        """Remember why a cell has no record."""
        path = self._failure(id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason + "\n", encoding="utf-8")

    def failure(self, id: str) -> str | None:
        """Why a cell has no record, if it was tried and failed."""
        path = self._failure(id)
        return path.read_text(encoding="utf-8").strip() if path.exists() else None

    def records(self) -> list[Record]:
        """Every finished record."""
        return [self.read(path.parent.name) for path in sorted(self.path.glob("records/*/*/record.json"))]

    def _folder(self, id: str) -> Path:
        return self.path / "records" / id[:2] / id

    def _partial(self, id: str) -> Path:
        return self.path / "partial" / id

    def _failure(self, id: str) -> Path:
        return self.path / "failures" / f"{id}.txt"
