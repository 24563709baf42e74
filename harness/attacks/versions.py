"""Which version of an attack made an image."""

from __future__ import annotations

from functools import cache

from harness.attacks.resolve import ResolvedAttack, find_factory
from harness.core.sources import sources_sha256

DIGITS = 12
"""Of the sha256 of sources."""


def version_of(attack: ResolvedAttack) -> str:
    """The version that an attack gives itself, and for one of yours also what its source says.

    Ours raise their versions when results change; nobody does so while writing an attack.
    """
    modules = {type(attack.attack).__module__, find_factory(attack.name).__module__}
    yours = frozenset(name for name in modules if name.partition(".")[0] != "harness")
    return ", ".join([attack.attack.version, *([f"source {_source(yours)}"] if yours else [])])


@cache
def _source(modules: frozenset[str]) -> str:
    """Of loaded modules: what runs in this process does not change with their files."""
    return sources_sha256(modules)[:DIGITS]
