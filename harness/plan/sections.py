"""`[whitebox]` and `[transfer]`: what runs on what, every name and pattern resolved."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from harness.core.errors import did_you_mean
from harness.plan.attacks import Crafting, Threats, Variant, label_of, under_threats
from harness.plan.mistakes import Mistakes
from harness.spec import Reading


class Section(NamedTuple):
    """The white-box or the transfer part."""

    mode: Literal["whitebox", "transfer"]
    """Which."""
    surrogates: list[str]
    """Suite names of the models that craft."""
    targets: list[str]
    """Suite names of the models that are judged; in the white-box part each surrogate judges itself alone."""
    craftings: list[Crafting]
    """The attacks, each under each of its threat models."""


class Selector(NamedTuple):
    """Looks up names and patterns of the sections."""

    reading: Reading
    mistakes: Mistakes

    def choose(
        self, kind: str, where: str, wanted: Sequence[str], known: Iterable[str], also: Iterable[str] = ()
    ) -> set[str]:
        """The known names, and those that are `also` understood, that match a wanted one.

        Names may have what patterns are made of, such as "resnet[1]": what is called so exactly is meant.
        """
        names = {*known, *also}
        matches = {text: {text} & names or set(fnmatch.filter(names, text)) for text in wanted}
        for text, found in matches.items():
            if not found and names and kind not in self.reading.nameless:
                self.mistakes.add(where, f'nothing is called "{text}".\n     {did_you_mean(text, known)}')
        return set[str]().union(*matches.values())

    def models(self, where: str, wanted: Sequence[str]) -> list[str]:
        """Suite names of models, in the order of the file: by name, pattern, or filter such as "facts.bn=N"."""
        specs = self.reading.suite.models
        known = {spec.name for spec in specs}
        filters = [text for text in wanted if "=" in text and text not in known]
        chosen = self.choose("models", where, [text for text in wanted if text not in filters], known)
        for text in filters:
            chosen |= self._with_fact(where, text)
        return list(dict.fromkeys(spec.name for spec in specs if spec.name in chosen))

    def _with_fact(self, where: str, text: str) -> set[str]:
        """Names of the models with a fact, asked for as "facts.bn=N"."""
        key, _, value = (part.strip() for part in text.partition("="))
        specs, fact = self.reading.suite.models, key.removeprefix("facts.")
        facts = sorted({f"facts.{known}" for spec in specs for known in spec.facts})
        found = {spec.name for spec in specs if fact in spec.facts and _text(spec.facts[fact]) == value}
        if not found and self.reading.facts_known:
            if key not in facts:
                self.mistakes.add(where, f"no model has {key}.\n     {did_you_mean(key, facts)}")
            else:
                values = {_text(spec.facts[fact]) for spec in specs if fact in spec.facts}
                self.mistakes.add(where, f'no model has {key} = "{value}".\n     {did_you_mean(value, values)}')
        return found

    def variants(self, where: str, wanted: Sequence[str], variants: Sequence[Variant]) -> list[Variant]:
        """Attacks by registered name or label; a label without its swept arguments means the whole sweep."""
        specs = self.reading.suite.attacks
        # Entries with a mistake have no variants, but their names are no mistake.
        known = {name for spec in specs for name in (spec.name, spec.label) if name}
        labels = {label_of(spec) for spec in specs} | {variant.label for variant in variants}
        chosen = self.choose("attacks", where, wanted, known, labels)
        if not specs:
            self.mistakes.add(where, "there is no attack; add [[attacks]], one per attack")
        return [variant for variant in variants if chosen & variant.names]


def plan_sections(reading: Reading, variants: Sequence[Variant], threats: Threats, mistakes: Mistakes) -> list[Section]:
    """The suite's sections; none where it only evaluates."""
    suite, select = reading.suite, Selector(reading, mistakes)
    sections: list[Section] = []
    if suite.whitebox:
        models = select.models("whitebox.models", suite.whitebox.models)
        sections.append(Section("whitebox", models, models, craftings("whitebox", select, variants, threats)))
    if suite.transfer:
        surrogates = select.models("transfer.surrogates", suite.transfer.surrogates)
        targets = select.models("transfer.targets", suite.transfer.targets)
        sections.append(Section("transfer", surrogates, targets, craftings("transfer", select, variants, threats)))
    if not sections and (suite.attacks or suite.threats):
        mistakes.add(
            "suite",
            "nothing says what runs on what; add [whitebox] or [transfer]\n"
            "     or leave attacks and threat models out, to evaluate clean images only",
        )
    return sections


def taking_part(sections: Iterable[Section], models: Iterable[str]) -> list[str]:
    """Of the models, those that a section attacks or judges; all of them where a suite only evaluates."""
    named = {name for section in sections for name in (*section.surrogates, *section.targets)}
    return [name for name in models if name in named] if named else list(models)


def craftings(
    mode: Literal["whitebox", "transfer"], select: Selector, variants: Sequence[Variant], threats: Threats
) -> list[Crafting]:
    """The attacks of a section, each under each of its threat models."""
    reading, mistakes = select.reading, select.mistakes
    section = getattr(reading.suite, mode)
    before = mistakes.noted
    chosen = select.variants(f"{mode}.attacks", section.attacks, variants)
    names = select.choose("threats", f"{mode}.threats", section.threats, threats)
    offered = {name: models for name, models in threats.items() if name in names}
    unread = any(kind == "threats" for kind, _ in reading.unread)
    found = {variant.label: under_threats(variant, offered, unread, mistakes) for variant in chosen}
    if offered and not unread:
        idle = [variant for variant in chosen if not found[variant.label] and _lacks(variant, offered, threats)]
        for text in section.attacks:
            meant = [variant for variant in chosen if text in variant.names]
            if meant and all(variant in idle for variant in meant):
                mistakes.add(f"{mode}.attacks", _runs_nowhere(text, meant[0], mode))
        if idle and len(idle) == len(chosen) and mistakes.noted == before:
            mistakes.add(f"{mode}.threats", "none of its attacks runs under any of its threat models")
    return [crafting for craftings in found.values() for crafting in craftings]


def _lacks(variant: Variant, offered: Threats, threats: Threats) -> bool:
    """Whether an attack names threat models of the suite, none of which its section offers."""
    named = variant.spec.threats
    return named is not None and all(name in threats and name not in offered for name in named)


def _runs_nowhere(text: str, variant: Variant, mode: str) -> str:
    """What to do about an attack that a section asks for without a threat model that it runs under."""
    named = ", ".join(variant.spec.threats or [])
    return (
        f'"{text}" runs under the threat models {named} alone, none of which is among {mode}.threats.\n'
        f"     add one there or to the attack's own threats, or leave the attack out"
    )


def _text(fact: str | float | bool) -> str:
    return str(fact).lower() if isinstance(fact, bool) else str(fact)
