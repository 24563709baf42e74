"""A whole suite file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.core.precision import Precision
from harness.core.validation import Strict
from harness.spec.claims import ClaimSpec
from harness.spec.names import FileName, distinct
from harness.spec.parts import AttackSpec, DatasetSpec, ModelSpec, ThreatSpec, TransferSpec, WhiteboxSpec
from harness.spec.tables import TableSpec

Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""What tables of results can keep."""

SINGULAR = {"dataset": "datasets", "threat": "threats"}
"""A table that stands for a list of one, and that list."""


class Suite(Strict):
    """A whole experiment."""

    name: FileName
    """File-safe name; tables go to reports/<name>/."""
    title: str | None = None
    """Heading of the report."""
    paper: str | None = None
    """The printed table that this suite reproduces, such as "benz2021/3"."""
    notes: str | None = None
    """A paragraph printed below the tables."""
    seeds: Annotated[list[Seed], AfterValidator(distinct)] = Field([0], min_length=1)
    """Every cell runs once per seed."""
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = 128
    """Images on the device at once, or "auto" to find out by trying; halved when memory runs out."""
    precision: Precision = "float32"
    """In which precision images are crafted; judging is always float32."""
    compile: bool = False
    """Whether full batches are crafted through torch.compile."""
    keep_images: bool = False
    """Whether adversarial images are kept in the store, so that a target that is added later costs no crafting."""
    datasets: list[DatasetSpec] = Field(min_length=1)
    """Data sets ([dataset] or [[datasets]])."""
    threats: list[ThreatSpec] = []
    """Threat models ([threat] or [[threats]]); none in a suite that only evaluates."""
    models: list[ModelSpec] = Field(min_length=1)
    """Networks."""
    attacks: list[AttackSpec] = []
    """Attacks; none in a suite that only evaluates."""
    whitebox: WhiteboxSpec | None = None
    """The white-box part."""
    transfer: TransferSpec | None = None
    """The transfer part."""
    tables: list[TableSpec] = []
    """Tables of the report."""
    claims: list[ClaimSpec] = []
    """What is said about the results, each judged by paired tests."""

    @model_validator(mode="before")
    @classmethod
    def _singular_is_a_list_of_one(cls, data: Any) -> Any:
        return plural(data) if isinstance(data, dict) else data


def plural(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The file's tables with `[dataset]` and `[threat]` as lists of one."""
    return {SINGULAR.get(key, key): [value] if key in SINGULAR else value for key, value in raw.items()}
