"""`harness list KIND`: what exists of one kind, a row of plain values each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.commands.console import print_json, print_rows, stdout
from harness.core.errors import HarnessError, in_one_line
from harness.core.registry import first_line, parameters_of

Row = dict[str, Any]


def list_(kind: str, *, as_json: bool) -> None:
    """Print what exists of one kind."""
    rows = KINDS[kind]()
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(rows)
    else:
        stdout().print(f"no {kind}")


def models() -> list[Row]:
    """Every zoo model with what its card says."""
    from harness.models.card import zoo_cards

    return [{"name": f"zoo:{name}", **model(path)} for name, path in zoo_cards().items()]


def model(path: Any) -> Row:
    """What a card says; a card that cannot be read says why."""
    from harness.models.card import read_card, weights_path

    weights = "yes" if weights_path(path).exists() else "no"
    try:
        card = read_card(path)
    except HarnessError as error:
        return {"norm": "-", "clean accuracy": "-", "weights": weights, "summary": in_one_line(error)}
    accuracy = card.result.get("clean_accuracy")
    return {
        "norm": card.architecture.norm,
        "clean accuracy": "-" if accuracy is None else f"{accuracy:.2%}",
        "weights": weights,
        "summary": card.summary,
    }


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


KINDS: dict[str, Callable[[], list[Row]]] = {
    "models": models, "attacks": attacks, "datasets": datasets, "features": features, "suites": suites,
    "sources": sources,
}  # fmt: skip
