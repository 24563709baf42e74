"""How often the attacks of torchattacks ask a model about a sample: at most, from their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from math import prod
from typing import Any

STEPS = ("steps", "n_queries", "num_iter_set", "nb_iter")
"""What torchattacks calls the number of steps."""

REPEATS = ("n_restarts", "eot_iter", "m", "noise_batch_size")
"""What multiplies the passes of a step: restarts, repeats, scaled copies and noisy ones."""


def defaults_of(name: str) -> dict[str, Any]:
    """The arguments of a class that have defaults."""
    import torchattacks

    parameters = inspect.signature(getattr(torchattacks, name).__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def most_passes(name: str, given: Mapping[str, Any]) -> int:
    """Passes for a sample that is never fooled, one without steps taking one. A gradient per class counts once."""
    arguments = defaults_of(name) | dict(given)
    steps = next((int(arguments[key]) for key in STEPS if key in arguments), 1)
    restarts, eot = int(arguments.get("n_restarts", 1)), int(arguments.get("eot_iter", 1))
    aims = int(arguments.get("n_classes", 2)) - 1
    match name:
        case "AutoAttack":
            return sum(most_passes(member, given) + 1 for member, given in members(arguments))
        # Of the next four, the first pass sorts out what is wrong when clean.
        case "APGD":
            return 1 + restarts * (steps + 1) * eot
        case "APGDT":
            return 1 + aims * restarts * (1 + (steps + 1) * eot)
        case "FAB":
            return 1 + (
                aims * restarts * (3 + 2 * steps) if arguments["multi_targeted"] else restarts * (2 + 2 * steps)
            )
        case "Square":
            return 1 + restarts * (2 + steps)
        case "TPGD":
            return 1 + steps
        case "SPSA":
            return 2 * steps * int(arguments["nb_sample"])
        case _:
            return steps * prod(int(arguments.get(key, 1)) for key in REPEATS) * (1 + int(arguments.get("N", 0)))


def members(arguments: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The attacks that its AutoAttack consists of, each with what differs from its defaults."""
    classes = {"n_classes": arguments["n_classes"]}
    targeted = [("APGDT", classes), ("FAB", {**classes, "multi_targeted": True})]
    match arguments["version"]:
        case "plus":
            five = {"n_restarts": 5}
            return [("APGD", five), ("APGD", five), ("FAB", five), ("Square", {}), *targeted]
        case "rand":
            return [("APGD", {"eot_iter": 20})] * 2
        case _:
            return [("APGD", {}), *targeted, ("Square", {})]
