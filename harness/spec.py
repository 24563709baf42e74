"""What a suite file may say: frozen, validated objects; unknown keys are errors.

`read_suite` finds the file, applies `extend` and `--set`, and returns the suite together with every mistake it found.
Names of models, attacks and data sets are looked up later, by the plan.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from harness.core.errors import HarnessError, Problems, did_you_mean
from harness.core.numbers import Number, parse_number
from harness.core.threat import Goal, Norm, ThreatModel
from harness.core.validation import explain, key_path


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _positive(values: list[float]) -> list[float]:
    for value in values:
        if value <= 0:
            raise ValueError(f"{value:g} must be greater than 0")
    return values


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetSpec(BaseModel):
    """`[dataset]`: which images. Further keys (split, root, path, ...) go to the data set's loader."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    """Registered name: digits, cifar10, parquet, folder, ..."""
    samples: int | None = Field(None, ge=1)
    """How many images; default all."""
    indices: Literal["balanced", "first"] | list[int] = "balanced"
    """balanced: equally many per class; first: the first ones; or the indices themselves."""
    keep: Literal["all", "surrogate-correct", "all-correct"] = "all"
    """Which images tables count: all; those that the surrogate gets right; those that every model gets right."""
    label: str | None = None
    """How reports name the data."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys for the loader."""
        return dict(self.model_extra or {})


class ThreatSpec(_Strict):
    """`[threat]`: what an attack may change. A list of budgets sweeps."""

    name: str | None = None
    """How attacks and sections refer to it; default the norm."""
    norm: Norm
    """linf or l2."""
    epsilon: Annotated[list[Number], BeforeValidator(_as_list), AfterValidator(_positive)]
    """Budget on the [0, 1] pixel scale."""
    goal: Goal = "untargeted"
    """untargeted; next: true class + 1; random: a wrong class drawn per image."""

    @property
    def models(self) -> list[ThreatModel]:
        """One threat model per budget."""
        return [ThreatModel(self.norm, epsilon, self.goal) for epsilon in self.epsilon]


class ModelSpec(_Strict):
    """`[[models]]`: one network."""

    name: str
    """How this file refers to it; unique."""
    id: str
    """What to load: zoo:NAME, torchvision:NAME@WEIGHTS, timm:ARCH.TAG, file:PATH, python:MODULE:FACTORY."""
    label: str | None = None
    """How tables print it; default the name."""
    facts: dict[str, str | int | float | bool] = {}
    """Free columns for tables, such as bn = "N"."""
    architecture: str | None = None
    """For file: the network that the weights belong to."""
    arguments: dict[str, Any] = {}
    """For file: and python: keyword arguments of the network or factory."""
    mean: list[float] | None = None
    """Standardization inside the model, per channel; default what the source knows."""
    std: list[float] | None = None
    """Standardization inside the model, per channel; default what the source knows."""


class AttackSpec(BaseModel):
    """`[[attacks]]`: one attack. Further keys are the attack's own arguments; a list sweeps."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    """Registered name, such as mi-fgsm or torchattacks:PGD."""
    label: str | None = None
    """How tables print it; default the name in capitals."""
    preset: str | None = None
    """A named set of arguments where the field disagrees, such as "torchattacks"; single keys override it."""
    threats: list[str] | None = None
    """Names of the threat models it runs under; default all whose norm it supports."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The attack's own keys, as given."""
        return dict(self.model_extra or {})


Selection = Annotated[list[str], BeforeValidator(_as_list)]
"""Names, or filters such as "facts.bn=N", "norm=bn"."""


class WhiteboxSpec(_Strict):
    """`[whitebox]`: every model attacked with its own gradients."""

    models: Selection = ["*"]
    """Which models; default all."""
    attacks: Selection = ["*"]
    """Which attacks, by name or label; default all."""
    threats: Selection = ["*"]
    """Which threat models; default all."""


class TransferSpec(_Strict):
    """`[transfer]`: crafted on surrogates, judged on targets, all steps run."""

    surrogates: Selection = ["*"]
    """Which models craft."""
    targets: Selection = ["*"]
    """Which models are judged."""
    attacks: Selection = ["*"]
    """Which attacks, by name or label; default all."""
    threats: Selection = ["*"]
    """Which threat models; default all."""


Value = Literal["robust_accuracy", "attack_success_rate", "robust_error", "mean_l2", "mean_linf", "mean_passes"]
Denominator = Literal["all", "own-correct", "surrogate-correct", "common-correct"]


class TableSpec(_Strict):
    """`[[tables]]`: a pivot of the cells."""

    name: str | None = None
    """File name of the table; default table-1, table-2, ..."""
    title: str | None = None
    """Heading and caption."""
    rows: Selection
    """What makes a row: model, target, surrogate, attack, threat, epsilon, norm, dataset, seed, mode, facts.KEY."""
    columns: Selection
    """What makes a column; a last entry "mean" adds the mean of the row."""
    value: Value = "robust_accuracy"
    """What a cell shows."""
    denominator: Denominator | None = None
    """Which samples a rate counts; default all for accuracies, own-correct for success rates."""
    mode: Literal["whitebox", "transfer"] | None = None
    """Which cells; default the suite's only section, else white-box for accuracies and transfer for success rates."""
    where: dict[str, Any] = {}
    """Further filters, such as { attack = ["PGD", "CW"], "facts.bn" = "Y" }."""
    clean: bool | None = None
    """Whether clean accuracy is a column (or row) beside the attacks; default yes for white-box robust accuracy."""
    headers: dict[str, str] = {}
    """How row and column headers are printed, such as { "facts.bn" = "BN" }."""


class Suite(_Strict):
    """A whole experiment."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """File-safe name; tables go to reports/<name>/."""
    title: str | None = None
    """Heading of the report."""
    paper: str | None = None
    """The printed table that this suite reproduces, such as "benz2021/3"."""
    notes: str | None = None
    """A paragraph printed below the tables."""
    seeds: list[int] = Field([0], min_length=1)
    """Every cell runs once per seed."""
    batch_size: int = Field(128, ge=1)
    """Images on the device at once; never changes a result."""
    datasets: list[DatasetSpec] = Field(min_length=1)
    """Data sets ([dataset] or [[datasets]])."""
    threats: list[ThreatSpec] = Field(min_length=1)
    """Threat models ([threat] or [[threats]])."""
    models: list[ModelSpec] = Field(min_length=1)
    """Networks."""
    attacks: list[AttackSpec] = []
    """Attacks."""
    whitebox: WhiteboxSpec | None = None
    """The white-box part."""
    transfer: TransferSpec | None = None
    """The transfer part."""
    tables: list[TableSpec] = []
    """Tables of the report."""

    @model_validator(mode="before")
    @classmethod
    def _singular_is_a_list_of_one(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for one, many in (("dataset", "datasets"), ("threat", "threats")):
            if one in data and many in data:
                raise ValueError(f"write [{one}] or [[{many}]], not both")
            if one in data:
                data[many] = [data.pop(one)]
        return data


class Reading:
    """A suite as far as it could be read, and every mistake found on the way."""

    def __init__(self, suite: Suite | None, problems: list[str], path: str) -> None:
        """`suite` is None when too little is left to look any further."""
        self.suite = suite
        self.problems = problems
        self.path = path


def load_suite(name: str, overrides: Iterable[str] = ()) -> Suite:
    """Read and validate a suite file. Raises Problems listing every mistake in it."""
    reading = read_suite(name, overrides)
    if reading.problems or reading.suite is None:
        raise Problems(reading.path, reading.problems)
    return reading.suite


def read_suite(name: str, overrides: Iterable[str] = ()) -> Reading:
    """Read a suite by path or shipped name.

    After a mistake the offending keys are dropped and the rest is read, so that the plan can look for further
    mistakes and all are reported together.

    Args:
        name: a TOML file, or the name of a shipped suite.
        overrides: `key.path=value` pairs, value in TOML notation or plain text.

    Raises:
        HarnessError: when there is no such file, it is not TOML, or an override does not fit.
    """
    path = find_suite(name)
    raw = read_toml(path)
    for override in overrides:
        raw = apply_override(raw, override)
    problems: list[str] = []
    for _ in range(3):
        try:
            return Reading(Suite.model_validate(raw), problems, str(path))
        except ValidationError as error:
            problems += [message for message in explain(error, Suite) if message not in problems]
            raw = _without(raw, [detail["loc"] for detail in error.errors() if detail["type"] != "missing"])
    return Reading(None, problems, str(path))


def suite_directories() -> list[Path]:
    """Where shipped suites are: the source tree's `suites/`, else the installed package's."""
    package = Path(__file__).resolve().parent
    return [path for path in (Path("suites"), package.parent / "suites", package / "suites") if path.is_dir()]


def shipped_suites() -> dict[str, Path]:
    """Name and file of every suite that can be run by name."""
    found: dict[str, Path] = {}
    for directory in suite_directories():
        for file in sorted(directory.glob("*.toml")):
            found.setdefault(file.stem, file)
    return found


def find_suite(name: str) -> Path:
    """A suite's file, by path or shipped name. Raises HarnessError with suggestions."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_suites()
    if path.stem in shipped and (path.suffix == "" or path.parent.name == "suites"):
        return shipped[path.stem]
    raise HarnessError(f'no suite file "{name}".\n     {did_you_mean(path.stem, shipped)}')


def read_toml(path: Path) -> dict[str, Any]:
    """A suite file with the file that it extends merged in: tables key by key, lists replaced."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} is not valid TOML: {error}") from None
    base = raw.pop("extend", None)
    if base is None:
        return raw
    base_path = path.parent / str(base)
    if not base_path.is_file():
        raise HarnessError(f'{path}: extend = "{base}": there is no file {base_path}')
    if base_path.resolve() == path.resolve():
        raise HarnessError(f"{path}: a suite cannot extend itself")
    return _merge(read_toml(base_path), raw)


def apply_override(raw: dict[str, Any], override: str) -> dict[str, Any]:
    """One `--set a.0.b=value`. Raises HarnessError when the path does not exist or the form is wrong."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise HarnessError(f'--set {override}: write key.path=value, such as "attacks.0.steps=5"')
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    changed: dict[str, Any] = json.loads(json.dumps(raw))
    place: Any = changed
    *parents, last = key.split(".")
    for part in parents:
        place = _step(place, part, override)
    if isinstance(place, list):
        _step(place, last, override)
        place[int(last)] = value
    else:
        place[last] = value
    return changed


def _step(place: Any, part: str, override: str) -> Any:
    if isinstance(place, list):
        if not part.isdigit() or int(part) >= len(place):
            raise HarnessError(f"--set {override}: {part} is no position in a list of {len(place)}")
        return place[int(part)]
    if isinstance(place, dict):
        return place.setdefault(part, {})
    raise HarnessError(f"--set {override}: there is nothing below {part}")


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _without(raw: dict[str, Any], locations: Iterable[tuple[str | int, ...]]) -> dict[str, Any]:
    """A copy without the values at the given places; places inside unions lose their branch names."""
    copy: dict[str, Any] = json.loads(json.dumps(raw))
    for one, many in (("dataset", "datasets"), ("threat", "threats")):
        if one in copy:
            copy[many] = [copy.pop(one)]
    doomed: list[tuple[Any, str | int]] = []
    for location in locations:
        place: Any = copy
        parent: tuple[Any, str | int] | None = None
        for part in location:
            inside = part in place if isinstance(place, dict) else isinstance(part, int) and isinstance(place, list)
            if not inside:
                break
            parent = (place, part)
            place = place[part]
        if parent:
            doomed.append(parent)
    for container, key in sorted(doomed, key=lambda pair: str(pair[1]), reverse=True):
        if isinstance(container, dict):
            container.pop(key, None)
        elif isinstance(key, int) and key < len(container):
            del container[key]
    return copy


__all__ = [
    "AttackSpec", "DatasetSpec", "ModelSpec", "Suite", "TableSpec", "ThreatSpec", "TransferSpec", "WhiteboxSpec",
    "key_path", "load_suite", "parse_number", "read_suite", "shipped_suites",
]  # fmt: skip
