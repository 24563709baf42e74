"""`paper` of the parts of a suite file: what printed tables call them."""

from __future__ import annotations

from harness.core.numbers import Number
from harness.core.validation import Strict


class DatasetInPaper(Strict):
    """`paper` of a data set: what printed tables call it."""

    dataset: str | None = None
    """Its name there; default the id."""
    arch: str | None = None
    """Of a feature set: the network that its features are of; default any."""
    norm: str | None = None
    """Of a feature set: the normalization of that network."""
    training: str | None = None
    """Of a feature set: how that network was trained; default standard."""
    note: str | None = None
    """How it differs from the paper's; a footnote of comparisons."""


class AttackInPaper(Strict):
    """`paper` of an attack: what printed tables call it."""

    attack: str | None = None
    """Its name there, with or without the norm; default the registered name."""
    note: str | None = None
    """How it differs from the paper's; a footnote of comparisons."""


class ThreatInPaper(Strict):
    """`paper` of a threat model: what printed tables call it."""

    epsilon: Number | None = None
    """Its budget there; default the budget."""
    note: str | None = None
    """How it differs from the paper's; a footnote of comparisons."""


class ModelInPaper(Strict):
    """`paper` of a model: what printed tables call it."""

    arch: str | None = None
    """Its network there; default the fact `architecture`, else the label."""
    norm: str | None = None
    """Its normalization there; default what is detected."""
    stats: str | None = None
    """Statistics of its BatchNorm layers, population or batch; default those of its view."""
    training: str | None = None
    """How it was trained; default standard."""
    note: str | None = None
    """How it differs from the paper's; a footnote of comparisons."""
