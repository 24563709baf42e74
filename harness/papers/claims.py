"""What the papers claim, and which of their numbers each claim compares."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import cache, cached_property
from importlib.resources import files
from typing import NamedTuple

from harness.core.errors import HarnessError, did_you_mean
from harness.papers.values import PrintedValue, every_value

Terms = dict[str, tuple[str, ...]]
"""Keys and the values that they may have; a key that ends in "!" has none of them."""


class PrintedPair(NamedTuple):
    """Two printed numbers that a claim compares."""

    left: PrintedValue
    """Which is greater, or less, than the other."""
    right: PrintedValue
    """The other."""


@dataclass(frozen=True)
class PaperClaim:
    """A claim of a paper. All fields but the filters are as claims.csv has them."""

    id: str
    """Such as "B11"."""
    paper: str
    """Who claims it."""
    where: str
    """The table or figure."""
    description: str
    """What is claimed."""
    kind: str
    """greater, less: every pair differs so; trend: more than a comparison of numbers."""
    lhs: str
    """Filters of the left side, as `key=value|value;key!=value`."""
    rhs: str
    """Filters of the right side."""
    match_on: str
    """Keys on which the two numbers of a pair agree, joined by bars."""
    basis: str
    """stated, implied, strengthened, consistency or observation."""
    n_pairs: str
    """How many pairs the paper's own numbers make; empty where it prints none."""
    n_hold: str
    """How many of them differ as claimed."""
    holds: str
    """yes, no, or not_printed."""
    exceptions: str
    """The pairs that do not."""

    @property
    def comparable(self) -> bool:
        """Whether it compares printed numbers pair by pair."""
        return self.kind in ("greater", "less") and self.holds != "not_printed"

    @property
    def references(self) -> set[str]:
        """The printed tables whose numbers it compares, such as "benz2021/4"; empty where it looks at figures."""
        return {f"{self.paper}/{table}" for side in self.sides for table in side.get("table", ())}

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys on which the two numbers of a pair agree."""
        return tuple(filter(None, self.match_on.split("|")))

    @property
    def sides(self) -> tuple[Terms, Terms]:
        """The filters of both sides."""
        return terms(self.lhs), terms(self.rhs)

    @cached_property
    def pairs(self) -> tuple[PrintedPair, ...]:
        """The pairs that the printed numbers make."""
        left, right = (chosen(side) for side in self.sides)
        partners: dict[tuple[str, ...], list[PrintedValue]] = {}
        for value in right:
            partners.setdefault(self._key(value), []).append(value)
        return tuple(PrintedPair(value, other) for value in left for other in partners.get(self._key(value), ()))

    def differs_as_claimed(self, left: float, right: float) -> bool:
        """Whether a pair of numbers differs as the claim says."""
        return left > right if self.kind == "greater" else left < right

    def _key(self, value: PrintedValue) -> tuple[str, ...]:
        return tuple(str(getattr(value, key)) for key in self.keys)


@cache
def paper_claims() -> tuple[PaperClaim, ...]:
    """All claims, in the order of the papers."""
    text = files("harness.papers").joinpath("claims.csv").read_text(encoding="utf-8")
    names = [field.name for field in fields(PaperClaim)]
    return tuple(PaperClaim(**{name: line[name] for name in names}) for line in csv.DictReader(text.splitlines()))


def paper_claim(id: str) -> PaperClaim:
    """The claim under an id. Raises HarnessError with suggestions."""
    for claim in paper_claims():
        if claim.id == id:
            return claim
    raise HarnessError(f'no paper claims "{id}".\n     {did_you_mean(id, [claim.id for claim in paper_claims()])}')


def terms(text: str) -> Terms:
    """Filters as data: "arch=vgg16;target!=vgg16|avg"."""
    pairs = (term.partition("=") for term in text.split(";") if term)
    return {key: tuple(values.split("|")) for key, _, values in pairs}


def chosen(filters: Terms) -> list[PrintedValue]:
    """The printed numbers that pass filters; none for filters of a figure, whose numbers are not printed."""
    return [value for value in every_value() if filters and all(_passes(value, *term) for term in filters.items())]


def _passes(value: PrintedValue, key: str, accepted: tuple[str, ...]) -> bool:
    return (getattr(value, key.removesuffix("!")) in accepted) != key.endswith("!")
