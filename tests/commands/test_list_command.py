"""`harness list`: everything that exists, with a summary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attacks import ATTACKS
from harness.data import DATASETS
from harness.data.feature_card import feature_cards
from harness.models import MODEL_SOURCES
from harness.models.card import zoo_cards
from harness.papers import printed_tables
from harness.spec import shipped_suites
from tests.commandline import Harness

KINDS: dict[str, Callable[[], list[str]]] = {
    "models": lambda: [f"zoo:{name}" for name in zoo_cards()],
    "attacks": lambda: [*ATTACKS.names(), "torchattacks:NAME", "autoattack:ENSEMBLE"],
    "datasets": DATASETS.names,
    "features": lambda: list(feature_cards()),
    "suites": lambda: list(shipped_suites()),
    "sources": lambda: [f"{name}:" for name in MODEL_SOURCES.names()],
    "papers": lambda: [table.reference for table in printed_tables()],
}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_exists_is_listed_with_a_summary(kind: str, call: Harness) -> None:
    rows = json.loads(call("list", kind, "--json").output)
    assert [row["name"] for row in rows] == KINDS[kind]()
    assert all(row.get("summary") or row.get("title") for row in rows)
    lines = call("list", kind).output.splitlines()
    assert lines[0].split()[0] == "name"
    assert [line.split()[0] for line in lines[1:]] == KINDS[kind]()


@pytest.mark.parametrize("pattern", ["digits-vgg6-*", "zoo:digits-vgg6-*", "vgg6-[bgn]"])
def test_a_pattern_picks_names_with_or_without_their_source(pattern: str, call: Harness) -> None:
    names = [row["name"] for row in json.loads(call("list", "models", pattern, "--json").output)]
    expected = [] if pattern.startswith("vgg") else ["zoo:digits-vgg6-bn", "zoo:digits-vgg6-gn", "zoo:digits-vgg6-none"]
    assert names == expected


def test_a_pattern_without_wildcards_is_a_part_of_the_name(call: Harness) -> None:
    names = [row["name"] for row in json.loads(call("list", "attacks", "di-ti", "--json").output)]
    assert names == [name for name in ATTACKS.names() if "di-ti" in name]
    assert call("list", "attacks", "no such thing").output == 'no attacks named "no such thing"\n'


def test_twins_are_listed_with_their_census_and_the_ids_of_their_weights(
    call: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.models.twins.architectures", lambda: ["torchvision:vgg11", "torchvision:vgg11_bn"])
    rows = json.loads(call("list", "models", "--twins", "--json").output)
    assert [(row["name"], row["norm"], row["weights"]) for row in rows] == [
        ("torchvision:vgg11", "none", ["torchvision:vgg11@IMAGENET1K_V1"]),
        ("torchvision:vgg11_bn", "bn", ["torchvision:vgg11_bn@IMAGENET1K_V1"]),
    ]
    assert rows[1]["layers"] == {"bn": 8}
    printed = call("list", "models", "vgg11_bn", "--twins").output.splitlines()
    assert printed[0].split() == ["name", "twins", "norm", "parameters", "weights"]
    assert [line.split()[0] for line in printed[1:]] == ["torchvision:vgg11_bn"]


def test_only_models_have_twins(call: Harness) -> None:
    printed = call("list", "attacks", "--twins")
    assert printed.code == 2
    assert "harness list models --twins" in printed.errors


def test_a_broken_file_does_not_hide_the_others(
    workplace: Path, call: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_ZOO", str(workplace / "zoo"))
    for folder in ("zoo", "suites"):
        (workplace / folder).mkdir()
        (workplace / folder / "broken.toml").write_text("summary = ")
    models = {row["name"]: row for row in json.loads(call("list", "models", "--json").output)}
    assert "cannot be read as TOML" in models["zoo:broken"]["summary"]
    assert "zoo:digits-vgg6-bn" in models
    suites = {row["name"]: row for row in json.loads(call("list", "suites", "--json").output)}
    assert "is not valid TOML" in suites["broken"]["title"]
    assert "quickstart" in suites


def test_a_closed_pipe_ends_a_listing_quietly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m harness list attacks | head -1", shell=True, capture_output=True, text=True, check=False,
        env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.startswith("name")
    assert "Traceback" not in done.stderr
