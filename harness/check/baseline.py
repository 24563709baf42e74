"""The baseline: what a suite's records said when it was written, image by image, in one file.

baselines/<suite>.json      a line per cell, so that a diff shows which cells changed
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from harness.check.packing import Indices, unpack_indices, unpack_verdicts
from harness.check.rule import Rule
from harness.core.errors import HarnessError, in_one_line
from harness.core.validation import Closed, explain
from harness.metrics.counting import Mask
from harness.store import Question
from harness.store.files import write_text

SCHEMA_VERSION = 1


class CellName(Closed):
    """How a suite names a cell. Cells are matched by it: their ids change with the weights, which is the point."""

    mode: Literal["clean", "whitebox", "transfer"]
    """clean: no attack."""
    attack: str
    """The attack's label; "Clean" for clean cells."""
    threat: str
    """The threat model's label; empty for clean cells."""
    dataset: str
    """The data set's label."""
    seed: int
    """Seed of the attack; 0 for clean cells."""
    surrogate: str
    """Suite name of the model that crafts; the target's own for clean and white-box cells."""
    target: str
    """Suite name of the model that is judged."""

    @property
    def metric(self) -> str:
        """What is compared."""
        return "clean accuracy" if self.mode == "clean" else "robust accuracy"


class Images(Closed):
    """The images behind some cells."""

    dataset: str
    """The data set's label."""
    n: Annotated[int, Field(ge=1)]
    """How many."""
    indices: str
    """Their positions in the whole data set, as ranges."""

    @property
    def positions(self) -> Indices:
        """(n,) the indices, ascending."""
        return unpack_indices(self.indices, self.n)


class Entry(Closed):
    """One cell: what was asked and what every image said."""

    name: CellName
    """How the suite calls it."""
    question: Question
    """What its record's numbers depend on: fingerprints of weights and images, attack, arguments, threat model."""
    values: dict[str, float]
    """Aggregates of the record, for who reads the file; comparisons take `correct`."""
    correct: str
    """For every image in ascending order of index whether the target was right: under attack, or clean for clean
    cells; bits in base64."""


class Baseline(Closed):
    """Everything that later records are compared with."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    suite: str
    """The suite's name."""
    harness: str
    """Version that wrote it."""
    written: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """UTC time, ISO 8601."""
    rule: Rule = Rule()
    """When an accuracy has changed, unless the command says otherwise."""
    environments: list[dict[str, Any]] = []
    """Where the records were computed: versions, commit and device, every combination once."""
    models: dict[str, str]
    """What was loaded, such as "zoo:digits-vgg6-bn", by the fingerprint of its weights."""
    images: dict[str, Images]
    """By fingerprint."""
    cells: list[Entry]
    """In the order of the suite."""

    @model_validator(mode="after")
    def _whole(self) -> Baseline:
        """Every cell once, with verdicts on images that are there."""
        if len({entry.name for entry in self.cells}) < len(self.cells):
            raise ValueError("a cell is there twice")
        for entry in self.cells:
            if entry.question.dataset not in self.images:
                raise ValueError(f"the images of {entry.name.attack} on {entry.name.target} are not listed")
            self.verdicts(entry)
        for fingerprint in {entry.question.dataset for entry in self.cells}:
            # After the verdicts, whose length bears out the number of images.
            _ = self.images[fingerprint].positions
        return self

    def entries(self) -> dict[CellName, Entry]:
        """The cells by name."""
        return {entry.name: entry for entry in self.cells}

    def images_of(self, entry: Entry) -> Images:
        """The images behind a cell."""
        return self.images[entry.question.dataset]

    def verdicts(self, entry: Entry) -> Mask:
        """(n,) for every image of a cell whether the target was right."""
        return unpack_verdicts(entry.correct, self.images_of(entry).n)

    def says_the_same_as(self, other: Baseline) -> bool:
        """Whether two differ in nothing but when, where and by which version they were written."""
        about = {"written": "", "harness": "", "environments": []}
        return self.model_copy(update=about) == other.model_copy(update=about)

    def text(self) -> str:
        """The file: JSON with a line per cell."""
        content = self.model_dump(mode="json", exclude={"cells", "environments", "images", "models"})
        lines = [f" {_json(key)}: {_json(value)}," for key, value in content.items()]
        lines += [_block("environments", [_json(environment) for environment in self.environments], "[]") + ","]
        lines += [_block("models", _members(self.models), "{}") + ","]
        images = {fingerprint: images.model_dump() for fingerprint, images in self.images.items()}
        lines += [_block("images", _members(images), "{}") + ","]
        cells = [_json(entry.model_dump(mode="json", exclude_defaults=True)) for entry in self.cells]
        return "\n".join(["{", *lines, _block("cells", cells, "[]"), "}"]) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _members(table: Mapping[str, Any]) -> list[str]:
    return [f"{_json(key)}: {_json(value)}" for key, value in table.items()]


def _block(key: str, lines: list[str], brackets: str) -> str:
    return f" {_json(key)}: {brackets[0]}" + ",".join(f"\n  {line}" for line in lines) + f"\n {brackets[1]}"


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file, whole or not at all. Raises HarnessError when that cannot be done."""
    try:
        write_text(path, baseline.text())
    except OSError as error:
        raise HarnessError(f"the baseline {path} cannot be written: {error.strerror}") from None


def read_baseline(path: Path, suite: str, given: str | None = None) -> Baseline:
    """The baseline of a suite; `given` is how the command names the suite, which hints repeat; default its name.

    Raises:
        HarnessError: when there is none, or it cannot be read, is of another schema or of another suite.
    """
    write = f"harness check {given or suite} --baseline {path} --update"
    again = f"delete it and write it anew: {write}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HarnessError(f"there is no baseline {path}.\n     to write one from the last run: {write}") from None
    except OSError as error:
        raise HarnessError(f"the baseline {path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # JSON and UTF-8
        raise HarnessError(f"the baseline {path} is damaged: {in_one_line(error)}.\n     {again}") from None
    if not isinstance(content, dict) or not {"schema_version", "suite", "cells"} <= content.keys():
        raise HarnessError(f"{path} is no baseline of harness; name another file with --baseline")
    version = content["schema_version"]
    if version != SCHEMA_VERSION:
        raise HarnessError(
            f"the baseline {path} has schema {version!r}, this version of harness reads {SCHEMA_VERSION}.\n     {again}"
        )
    try:
        baseline = Baseline.model_validate(content)
    except ValidationError as error:
        first = explain(error, Baseline, content)[0]
        raise HarnessError(f"the baseline {path} is damaged: {first.lstrip(': ')}.\n     {again}") from None
    if baseline.suite != suite:
        raise HarnessError(
            f"{path} is the baseline of suite {baseline.suite}, not of {suite}.\n     name another file with --baseline"
        )
    return baseline
