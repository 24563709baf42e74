"""From a suite's words to a configured attack: name, preset, arguments, sweeps, all checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

from harness.attacks import ATTACKS, PRESETS, Attack, Factory, from_autoattack, from_torchattacks
from harness.attacks.spelling import misspelling
from harness.core.errors import HarnessError, did_you_mean
from harness.core.registry import parameters_of
from harness.core.threat import ThreatModel
from harness.core.validation import check_value

ADAPTERS: dict[str, Callable[[str], Factory]] = {
    "torchattacks": from_torchattacks.factory_of,
    "autoattack": from_autoattack.factory_of,
}
"""Attacks of other libraries, addressed as LIBRARY:NAME."""

KEYS_OF_THREATS = {"eps", "epsilon", "norm", "goal", "target", "targeted"}
"""What other libraries ask of an attack, and a suite of its threat models."""

OF_THREATS = 'budget and goal belong to [[threats]], such as norm = "linf", epsilon = "8/255", goal = "next"'


class ResolvedAttack(NamedTuple):
    """An attack with everything settled."""

    name: str
    """Registered name."""
    attack: Attack
    """What crafts."""
    arguments: dict[str, Any]
    """Every argument under this threat model, defaults included."""
    passed: dict[str, Any]
    """What the suite gave, the preset's name included."""


def find_factory(name: str) -> Factory:
    """The factory under a name, those of other libraries included. Raises HarnessError for unknown names."""
    library, colon, attack = name.partition(":")
    if not colon:
        if name not in ATTACKS and (fault := misspelling(name)):
            raise HarnessError(f'attack "{name}" is not registered.\n     {fault}')
        return ATTACKS.get(name)
    if library not in ADAPTERS:
        raise HarnessError(f'attack "{name}": there is no adapter "{library}".\n     {did_you_mean(library, ADAPTERS)}')
    return ADAPTERS[library](attack)


def sweep(name: str, preset: str | None, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The argument sets that an entry of a suite stands for: a list as a value runs through its elements.

    Raises:
        HarnessError: for an unknown attack, preset or key, or an impossible value.
    """
    parameters = parameters_of(find_factory(name))
    start = preset_arguments(name, preset)
    choices: dict[str, list[Any]] = {}
    for key, value in given.items():
        if key not in parameters:
            hint = OF_THREATS if key in KEYS_OF_THREATS else did_you_mean(key, parameters)
            raise HarnessError(f'{key}: attack "{name}" has no such key.\n     {hint}')
        choices[key] = [check_value(parameters[key], one) for one in (value if isinstance(value, list) else [value])]
    return [{**start, **dict(zip(choices, values, strict=True))} for values in product(*choices.values())]


def preset_arguments(name: str, preset: str | None) -> dict[str, Any]:
    """A preset's arguments. Raises HarnessError for an unknown one."""
    if preset is None:
        return {}
    parameters = parameters_of(find_factory(name))
    presets = PRESETS.get(name, {})
    if preset not in presets:
        raise HarnessError(f'preset: attack "{name}" has no preset "{preset}".\n     {did_you_mean(preset, presets)}')
    return {key: check_value(parameters[key], value) for key, value in presets[preset].items()}


def resolve(name: str, arguments: Mapping[str, Any], threat: ThreatModel, passed: Mapping[str, Any]) -> ResolvedAttack:
    """Build an attack from checked arguments. Raises HarnessError when it does not work in the threat's norm."""
    factory = find_factory(name)
    defaults = {key: p.default for key, p in parameters_of(factory).items()}
    attack = factory(**arguments)
    if threat.norm not in attack.norms:
        raise HarnessError(
            f'attack "{name}" does not work in the norm {threat.norm}, only in {", ".join(sorted(attack.norms))}'
        )
    return ResolvedAttack(name, attack, {**defaults, **arguments, **attack.resolved(threat)}, dict(passed))
