"""The attacks of a suite with all their arguments, and the threat models that they run under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from harness.attacks.resolve import ResolvedAttack, find_factory, resolve, sweep
from harness.cells import CLEAN, AttackEntry, ThreatEntry
from harness.core.errors import HarnessError, did_you_mean
from harness.core.threat import ThreatModel
from harness.plan.mistakes import Mistakes
from harness.spec import AttackSpec, Reading, ThreatSpec

Threats = Mapping[str, list[ThreatModel]]
"""Threat models by the name under which attacks and sections refer to them; empty where one could not be read."""


MISSING = (
    "there is no threat model to attack under.\n"
    '     add [threat] with norm and epsilon, such as norm = "linf" and epsilon = "8/255"'
)


SPELLINGS = {"autoattack": "AutoAttack", "deepfool": "DeepFool", "rays": "RayS"}
"""Parts of attacks' names that are neither acronyms nor plain words."""

LONGEST_ACRONYM = 4


class Variant(NamedTuple):
    """One attack with one set of arguments."""

    label: str
    """How tables print it; unique."""
    spec: AttackSpec
    """What the suite says."""
    where: str
    """Its place in the suite file."""
    arguments: dict[str, Any]
    """Its arguments, checked, without defaults."""

    @property
    def names(self) -> set[str]:
        """What sections may call it; its label without swept arguments means the whole sweep."""
        return {self.label, self.spec.name, label_of(self.spec)}

    @property
    def passed(self) -> dict[str, Any]:
        """What the suite gave."""
        return {**self.spec.arguments, **({"preset": self.spec.preset} if self.spec.preset else {})}

    @property
    def entry(self) -> AttackEntry:
        """What reports say about it."""
        paper = {"attack": self.spec.name, **self.spec.paper.model_dump(exclude_none=True)}
        return AttackEntry(label=self.label, facts=self.spec.facts, paper=paper)


class Crafting(NamedTuple):
    """An attack under one threat model."""

    label: str
    """How tables print the attack."""
    attack: ResolvedAttack
    """What crafts."""
    threat: ThreatModel
    """What it may change."""


def label_of(spec: AttackSpec) -> str:
    """How tables print an attack, before its swept arguments are added."""
    return spec.label or spelt(spec.name)


def spelt(name: str) -> str:
    """A registered name as papers write it: "MI-Admix-FGSM"; one of another library, "torchattacks:PGD", as it is."""
    return name if ":" in name else "-".join(SPELLINGS.get(word, _capitals(word)) for word in name.split("-"))


def _capitals(word: str) -> str:
    return word.upper() if len(word) <= LONGEST_ACRONYM else word[0].upper() + word[1:]


def plan_threats(reading: Reading, mistakes: Mistakes) -> Threats:
    """The suite's threat models by name."""
    threats: dict[str, list[ThreatModel]] = {}
    printed: dict[str, ThreatModel] = {}
    if not reading.suite.threats and (reading.suite.whitebox or reading.suite.transfer):
        mistakes.add("threats", MISSING)
    for position, spec in enumerate(reading.suite.threats):
        name, where = spec.name or spec.norm, reading.place("threats", position)
        unread = ("threats", position) in reading.unread
        if name in threats and not unread:
            mistakes.add(where, f'two threat models are called "{name}"; give one a name')
        models = threats.setdefault(name, [])
        for threat in [] if unread else spec.models:
            if other := printed.get(threat.label):
                mistakes.add(f"{where}.epsilon", _printed_alike(other, threat))
            printed[threat.label] = threat
            models.append(threat)
    return threats


def _printed_alike(one: ThreatModel, other: ThreatModel) -> str:
    """Why two budgets cannot be in one suite: tables know threat models by what they print."""
    return (
        f'two threat models are printed "{other.label}": of {one.epsilon!r} and of {other.epsilon!r}.\n'
        "     leave one of them out"
    )


def describe_threats(specs: Iterable[ThreatSpec]) -> list[ThreatEntry]:
    """What reports say about the suite's threat models, one per budget."""
    return [
        ThreatEntry(name=spec.name or spec.norm, label=threat.label, paper=_in_paper(spec))
        for spec in specs
        for threat in spec.models
    ]


def _in_paper(spec: ThreatSpec) -> dict[str, str]:
    return {key: str(value) for key, value in spec.paper.model_dump(exclude_none=True).items()}


def plan_attacks(reading: Reading, threats: Threats, mistakes: Mistakes) -> list[Variant]:
    """Every attack with every set of arguments, labelled uniquely."""
    variants: list[Variant] = []
    for position, spec in enumerate(reading.suite.attacks):
        where = reading.place("attacks", position)
        if ("attacks", position) in reading.unread:
            continue
        for name in spec.threats or []:
            if name not in threats and "threats" not in reading.nameless:
                mistakes.add(
                    f"{where}.threats", f'there is no threat model "{name}".\n     {did_you_mean(name, threats)}'
                )
        for variant in variants_of(spec, where, mistakes):
            if variant.label == CLEAN:
                mistakes.add(where, f'"{CLEAN}" is what tables call images without an attack; give it another label')
            if any(variant.label == other.label for other in variants):
                mistakes.add(where, f'two attacks are called "{variant.label}"; give one a label')
            variants.append(variant)
    return variants


def variants_of(spec: AttackSpec, where: str, mistakes: Mistakes) -> Iterator[Variant]:
    """An attack with each set of arguments that its entry stands for; none when a key or value is wrong."""
    if not check_attack(spec, where, mistakes):
        return
    swept = [key for key, value in spec.arguments.items() if isinstance(value, list) and len(value) > 1]
    for arguments in sweep(spec.name, spec.preset, spec.arguments):
        yield Variant(label_of(spec) + suffix(arguments, swept), spec, where, arguments)


def suffix(arguments: Mapping[str, Any], swept: Iterable[str]) -> str:
    """What tells the variants of a sweep apart: " steps=10"."""
    texts = (f"{value:g}" if isinstance(value := arguments[key], float) else str(value) for key in swept)
    return "".join(f" {key}={text}" for key, text in zip(swept, texts, strict=True))


def check_attack(spec: AttackSpec, where: str, mistakes: Mistakes) -> bool:
    """Note everything that is wrong with an attack's entry, not only the first; whether nothing is."""
    before = len(mistakes.found)
    if mistakes.attempt(f"{where}.name", lambda: find_factory(spec.name)) is None:
        return False
    mistakes.attempt(where, lambda: sweep(spec.name, spec.preset, {}), joint=".")
    for key, value in spec.arguments.items():
        if value == []:
            mistakes.add(f"{where}.{key}", "an empty list runs nothing")
        mistakes.attempt(where, lambda key=key, value=value: sweep(spec.name, None, {key: value}), joint=".")  # type: ignore[misc]
    return len(mistakes.found) == before


def under_threats(variant: Variant, offered: Threats, unread: bool, mistakes: Mistakes) -> list[Crafting]:
    """An attack under each offered threat model that its entry names, or under all whose norm it works in.

    `unread` says that a threat model could not be read: an attack that fits no other may fit that one.
    """
    named = variant.spec.threats
    found: list[Crafting] = []
    refusals: list[HarnessError] = []
    for threat in [threat for name, models in offered.items() if named is None or name in named for threat in models]:
        try:
            attack = resolve(variant.spec.name, variant.arguments, threat, variant.passed)
        except HarnessError as error:
            refusals.append(error)
        else:
            found.append(Crafting(variant.label, attack, threat))
    if refusals and (named is not None or not (found or unread)):
        mistakes.add(variant.where, refusals[0])
    return found
