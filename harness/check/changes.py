"""What differs between two questions of the same name: the weights, the attack, or the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.store import Question

ATTACK_KEYS = {
    "attack": "attack",
    "attack_version": "version",
    "norm": "norm",
    "epsilon": "epsilon",
    "goal": "goal",
    "precision": "precision",
}
"""What makes another attack of one, besides its arguments, and how it is called."""

ABSENT = "absent"
"""In place of an argument that one of two attacks does not have."""


class Change(NamedTuple):
    """What differs."""

    target: bool
    """The weights of the judged model."""
    surrogate: bool
    """The weights of the model that crafts, where this is another one."""
    attack: tuple[str, ...]
    """Attack, arguments, version and threat model, such as "steps 10 → 20"."""
    images: bool
    """Pixels, labels or indices."""

    @property
    def other_attack(self) -> bool:
        """Whether the target was given images that were crafted in another way, or on another model."""
        return self.surrogate or bool(self.attack)


def changed(old: Question, new: Question) -> Change:
    """Compare two questions."""
    own = old.surrogate == old.target and new.surrogate == new.target
    return Change(
        target=old.target != new.target,
        surrogate=not own and old.surrogate != new.surrogate,
        attack=tuple(_attack(old, new)),
        images=old.dataset != new.dataset,
    )


def _attack(old: Question, new: Question) -> Iterator[str]:
    for key, word in ATTACK_KEYS.items():
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield f"{word} {_written(before)} → {_written(after)}"
    for key in dict.fromkeys((*old.arguments, *new.arguments)):
        before, after = old.arguments.get(key, ABSENT), new.arguments.get(key, ABSENT)
        if before != after:
            yield f"{key} {_written(before)} → {_written(after)}"


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
