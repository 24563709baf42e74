"""A feature set that is made in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

CARD = """\
# Why this card exists.
summary = "a small set"
kind = "rand"     # this comment stays
model = "zoo:digits-resnet8-bn"
seed = 3

[source]
id = "digits"
split = "train"
samples = 60

[descent]
epsilon = 1.0
steps = 8
step_size = 0.25
"""


@pytest.fixture
def card(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The card of a set "small" in a folder of its own."""
    folder = workplace / "sets"
    folder.mkdir()
    monkeypatch.setenv("HARNESS_FEATURES", str(folder))
    (folder / "small.toml").write_text(CARD)
    return folder / "small.toml"
