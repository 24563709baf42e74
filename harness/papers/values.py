"""The printed numbers: one line of results.csv each."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from harness.core.errors import HarnessError, did_you_mean

KEYS = (
    "paper", "table", "dataset", "arch", "norm", "stats", "training", "target", "attack", "norm_p", "eps", "metric",
)  # fmt: skip
"""What tells printed numbers apart: the columns of results.csv less row, value and note."""

AVERAGE = "avg"
"""What stands as the target of a mean over all targets of its row."""


CLEAN = "clean"
"""What stands as the attack of an accuracy or error of clean images."""

FEATURES = "feature_transfer"
"""What stands as the attack of an accuracy on a feature set: `norm` and `training` are of the network that its features
are of, and `target` is the network that is judged, such as "vgg16_bn", of the same training."""

GAIN = "accuracy_gain_percent"
"""Metric of a gain in robust accuracy from batch statistics, relative to that with running statistics."""


@dataclass(frozen=True)
class PrintedValue:
    """A number as a paper prints it, and what it is of. Keys that do not concern it are empty."""

    paper: str
    """benz2021, awais2020 or walter2022."""
    table: str
    """Number of the table."""
    row: int
    """Row of the table, counted from 1."""
    dataset: str
    """Such as "cifar10"."""
    arch: str
    """Network, that of the surrogate in transfer tables: "resnet50"."""
    norm: str
    """Its normalization: none, bn, in, ln, gn, fixup, rn, rn_tracked_mean."""
    stats: str
    """Statistics of its BatchNorm layers, awais2020 only: population or batch."""
    training: str
    """How it was trained: "standard", "adversarial", "l2_eps3.0", ..."""
    target: str
    """Network that a transfer attack is judged on; "avg" for the mean over the row's."""
    attack: str
    """Such as "pgd_l2" or "mi_fgsm"; "clean" for none."""
    norm_p: str
    """Norm of the budget, linf or l2."""
    eps: str
    """The budget, where the table prints it: "8/255"."""
    metric: str
    """accuracy, robust_accuracy, attack_success_rate, error, robust_error or accuracy_gain_percent."""
    value: str
    """The number as printed, in percent."""
    note: str
    """What to know about it."""

    @property
    def number(self) -> float:
        """The value in percent."""
        return float(self.value)

    @property
    def share(self) -> float:
        """The value as a share, without the noise of a division."""
        return round(self.number / 100, 6)

    @property
    def reference(self) -> str:
        """The printed table, such as "benz2021/4"."""
        return f"{self.paper}/{self.table}"

    @property
    def judged(self) -> PrintedValue:
        """The same with the keys of the network that is judged: on a feature set, not the one it was extracted from."""
        if self.attack != FEATURES:
            return self
        arch, _, norm = self.target.rpartition("_")
        return replace(self, arch=arch, norm=norm)

    @property
    def operands(self) -> tuple[PrintedValue, ...]:
        """The numbers of which it is made: robust accuracies with batch and with running statistics; else itself."""
        if self.metric != GAIN:
            return (self,)
        return tuple(replace(self, stats=stats, metric="robust_accuracy") for stats in ("batch", "population"))

    def has(self, key: str, wanted: str) -> bool:
        """Whether a key has a value, spelt in any way."""
        return same(str(getattr(self, key)), wanted)


@cache
def every_value() -> tuple[PrintedValue, ...]:
    """All printed numbers, in the order of the papers."""
    text = files("harness.papers").joinpath("results.csv").read_text(encoding="utf-8")
    return tuple(PrintedValue(**{**line, "row": int(line["row"])}) for line in csv.DictReader(text.splitlines()))  # type: ignore[arg-type]


def printed_values(**keys: str) -> list[PrintedValue]:
    """The numbers with these keys, such as `printed_values(paper="benz2021", table="4", target="avg")`.

    Raises:
        HarnessError: for an unknown key, or a value that no number has.
    """
    found = list(every_value())
    for key, wanted in keys.items():
        if key not in KEYS:
            raise HarnessError(f'printed numbers have no key "{key}".\n     {did_you_mean(key, KEYS)}')
        known = {str(getattr(value, key)) for value in found}
        found = [value for value in found if value.has(key, wanted)]
        if not found:
            raise HarnessError(f'no such number has {key} "{wanted}".\n     {did_you_mean(wanted, known - {""})}')
    return found


def same(one: str, other: str) -> bool:
    """Whether two names are one but for capitals, hyphens, blanks and underscores: "MobileNet-V2", "mobilenet_v2"."""
    return _bare(one) == _bare(other)


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()
