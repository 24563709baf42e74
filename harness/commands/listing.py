"""`harness list KIND`: what exists of one kind, a row of plain values each."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from harness.commands import twins as twin_networks
from harness.commands import zoo
from harness.commands.console import print_json, print_rows, stdout
from harness.core.errors import HarnessError, in_one_line
from harness.core.registry import first_line, parameters_of

Row = dict[str, Any]


def list_(kind: str, pattern: str | None = None, *, twins: bool = False, as_json: bool) -> None:
    """Print what exists of one kind, all or those whose names match; or twins, networks with and without BatchNorm.

    Raises:
        HarnessError: for twins of something else than models.
    """
    if twins and kind != "models":
        raise HarnessError(f"--twins are networks: harness list models --twins, not harness list {kind}")
    rows = [row for row in (twin_networks.twins() if twins else KINDS[kind]()) if matches(row["name"], pattern)]
    if as_json:
        print_json(rows)
    elif not rows:
        stdout().print(f"no {kind}" if pattern is None else f'no {kind} named "{pattern}"')
    elif twins:
        print_rows([twin_networks.printed(row) for row in rows])
    elif kind == "models":
        print_rows([zoo.printed(row) for row in rows], folding=zoo.FOLDING, expendable=zoo.EXPENDABLE)
    else:
        print_rows(rows)


def matches(name: str, pattern: str | None) -> bool:
    """Whether a name, with or without its source, fits a pattern such as "cifar10-*"; without * or ? a part of it."""
    if pattern is None or not any(wildcard in pattern for wildcard in "*?["):
        return (pattern or "") in name
    return any(fnmatchcase(known, pattern) for known in (name, name.partition(":")[2]))


def attacks() -> list[Row]:
    """Every attack with its parameters."""
    from harness.attacks import ATTACKS, PRESETS

    ours = [
        {
            "name": name,
            "keys": ", ".join(f"{key}={p.default}" for key, p in parameters_of(ATTACKS.get(name)).items()),
            "presets": ", ".join(PRESETS.get(name, {})),
            "summary": first_line(ATTACKS.get(name)),
        }
        for name in ATTACKS.names()
    ]
    theirs = [
        {
            "name": "torchattacks:NAME",
            "keys": "that class's own",
            "presets": "",
            "summary": "Any attack of torchattacks.",
        },
        {"name": "autoattack:ENSEMBLE", "keys": "", "presets": "", "summary": "The official AutoAttack package."},
    ]
    return [*ours, *theirs]


def datasets() -> list[Row]:
    """Every data set with its keys."""
    from harness.data import DATASETS

    return [
        {"name": name, "keys": ", ".join(parameters_of(DATASETS.get(name))), "summary": first_line(DATASETS.get(name))}
        for name in DATASETS.names()
    ]


def features() -> list[Row]:
    """Every feature set with what its card says."""
    from harness.data.feature_card import feature_cards

    return [{"name": name, **feature_set(path)} for name, path in feature_cards().items()]


def feature_set(path: Any) -> Row:
    """What a card says; a card that cannot be read says why."""
    from harness.data.feature_card import features_file, read_feature_card

    there = "yes" if features_file(path).exists() else "no"
    try:
        card = read_feature_card(path)
    except HarnessError as error:
        return {"kind": "-", "model": "-", "extracted": there, "summary": in_one_line(error)}
    return {"kind": card.kind, "model": card.model, "extracted": there, "summary": card.summary}


def sources() -> list[Row]:
    """Every model source."""
    from harness.models import MODEL_SOURCES

    return [{"name": f"{name}:", "summary": first_line(MODEL_SOURCES.get(name))} for name in MODEL_SOURCES.names()]


def suites() -> list[Row]:
    """Every suite that can be run by name."""
    from harness.spec import shipped_suites

    return [{"name": name, "title": title(path)} for name, path in shipped_suites().items()]


def title(path: Any) -> str:
    """A suite's title; a file that cannot be read says why."""
    from harness.spec import read_toml

    try:
        return str(read_toml(path).get("title", ""))
    except HarnessError as error:
        return in_one_line(error)


def papers() -> list[Row]:
    """Every printed table with its size."""
    from harness.papers import printed_tables

    return [
        {
            "name": table.reference,
            "also": ", ".join(f"{table.paper}/{alias}" for alias in table.aliases) or "-",
            "size": f"{len(table.rows) or len(table.settings_rows)} x {len(table.columns or table.settings_columns)}",
            "numbers": len(table.values) or "-",
            "summary": table.caption,
        }
        for table in printed_tables()
    ]


KINDS: dict[str, Callable[[], list[Row]]] = {
    "models": zoo.models, "attacks": attacks, "datasets": datasets, "features": features, "suites": suites,
    "sources": sources, "papers": papers,
}  # fmt: skip
