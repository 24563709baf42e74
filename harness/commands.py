"""What the commands do: one function each, called by `harness.cli`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from harness.cells import read_cells
from harness.core.errors import HarnessError
from harness.report import Report, render, write
from harness.report.terminal import terminal
from harness.spec import find_suite, load_suite
from harness.store import Store

WIDE = 10_000
"""Width of output that goes to a file: nothing is cut or wrapped."""

REASONS_SHOWN = 3
"""Failures that are printed in full."""


def stdout() -> Console:
    """Where results are printed."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def run(
    suite: str,
    *,
    limit: int | None,
    seed: int | None,
    overrides: Sequence[str],
    store: str | None,
    out: str | None,
    device: str,
    download: bool,
    as_json: bool,
) -> int:
    """Run a suite, print and write its tables; returns the exit code."""
    from harness.plan import Options, make_plan
    from harness.run import choose_device, execute

    messages = Console(stderr=True, highlight=False)
    plan = make_plan(suite, Options(tuple(overrides), limit, seed, download))
    results = execute(plan, Store(store), choose_device(device), messages)
    report = results.report()
    show(report, as_json)
    directory = Path(out) if out else Path("reports") / plan.suite.name
    write(report, directory)
    outcome = results.outcome
    messages.print(
        f"{outcome.computed} cells computed in {outcome.seconds:.1f} s, {outcome.stored} found in {results.store.path}; "
        f"tables written to {directory}/"
    )
    for reason in list(dict.fromkeys(outcome.failures.values()))[:REASONS_SHOWN]:
        messages.print(f"failed: {reason}", style="red", markup=False)
    if outcome.failures:
        messages.print(f"{len(outcome.failures)} cells failed; the same command tries them again.")
    return outcome.exit_code


def plan(
    suite: str,
    *,
    resolved: bool,
    limit: int | None,
    seed: int | None,
    overrides: Sequence[str],
    store: str | None,
    download: bool,
    as_json: bool,
) -> None:
    """Print what a suite would run."""
    from harness.plan import Options, make_plan
    from harness.run import plan_summary

    made = make_plan(suite, Options(tuple(overrides), limit, seed, download))
    summary = plan_summary(made, Store(store))
    if as_json:
        print_json(summary)
        return
    console = stdout()
    table = RichTable(box=None, header_style="bold", pad_edge=False)
    for heading in ("mode", "attack", "threat", "surrogate", "targets", "stored", "passes"):
        table.add_column(heading, justify="right" if heading in ("targets", "stored", "passes") else "left")
    for job in summary["jobs"]:
        row = [job[key] for key in ("mode", "attack", "threat", "surrogate")]
        table.add_row(*row, str(len(job["targets"])), f"{job['stored']}/{len(job['targets'])}", f"{job['passes']:,}")
        if resolved and job["arguments"]:
            table.add_row("", "  " + ", ".join(f"{key}={value}" for key, value in job["arguments"].items()), style="dim")
    console.print(table)
    console.print(
        f"\n{summary['cells']} cells: {summary['stored']} stored, {summary['missing']} missing; "
        f"at most {summary['passes']:,} forward-and-backward passes, about {duration(summary['seconds_at_most'])} "
        "on this CPU if no sample stops early"
    )


def report(
    suite: str,
    *,
    overrides: Sequence[str],
    store: str | None,
    out: str | None,
    formats: str,
    figures: bool,
    as_json: bool,
) -> int:
    """Render a suite's tables from its last run; returns 1 when cells are missing."""
    spec, records = load_suite(suite, overrides), Store(store)
    cells = read_cells(records, spec.name)
    made = render(spec, cells, records)
    show(made, as_json)
    names = {"md": "markdown"}
    chosen = [names.get(name, name) for name in formats.split(",") if name]
    files = write(made, Path(out) if out else Path("reports") / spec.name, chosen, figures=figures)
    Console(stderr=True, highlight=False).print(f"written: {', '.join(str(file) for file in files)}")
    return int(bool(cells.missing(records)))


def train(card: str, *, device: str, force: bool, as_json: bool) -> None:
    """Train a card's model and print its result."""
    from harness.run import choose_device
    from harness.train.run import train_card

    result = train_card(card, device=str(choose_device(device)), quiet=as_json, force=force)
    if as_json:
        print_json(result)
    else:
        stdout().print(f"clean accuracy {result['clean_accuracy']:.2%} on {result['test_data']} (n = {result['test_images']})")


def list_(kind: str, *, as_json: bool) -> None:
    """Print what exists of one kind."""
    rows = {"models": models, "attacks": attacks, "datasets": datasets, "suites": suites, "sources": sources}[kind]()
    if as_json:
        print_json(rows)
        return
    console = stdout()
    if not rows:
        console.print(f"no {kind}")
        return
    table = RichTable(box=None, header_style="bold", pad_edge=False)
    for key in rows[0]:
        table.add_column(key, no_wrap=key == "name")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def models() -> list[dict[str, Any]]:
    """Every zoo model with what its card says."""
    from harness.models.card import read_card, weights_path, zoo_cards

    rows = []
    for name, path in zoo_cards().items():
        card = read_card(path)
        accuracy = card.result.get("clean_accuracy")
        rows.append({
            "name": f"zoo:{name}",
            "norm": card.architecture.norm,
            "clean accuracy": "-" if accuracy is None else f"{accuracy:.2%}",
            "weights": "yes" if weights_path(path).exists() else "no",
            "summary": card.summary,
        })  # fmt: skip
    return rows


def attacks() -> list[dict[str, Any]]:
    """Every attack with its parameters."""
    from harness.attacks import ATTACKS, PRESETS
    from harness.core.registry import first_line, parameters_of

    return [
        {
            "name": name,
            "keys": ", ".join(f"{key}={parameter.default}" for key, parameter in parameters_of(ATTACKS.get(name)).items()),
            "presets": ", ".join(PRESETS.get(name, {})),
            "summary": first_line(ATTACKS.get(name)),
        }
        for name in ATTACKS.names()
    ] + [{"name": "torchattacks:NAME", "keys": "that class's own", "presets": "", "summary": "Any attack of torchattacks."}]


def datasets() -> list[dict[str, Any]]:
    """Every data set with its keys."""
    from harness.core.registry import first_line, parameters_of
    from harness.data import DATASETS

    return [
        {"name": name, "keys": ", ".join(parameters_of(DATASETS.get(name))), "summary": first_line(DATASETS.get(name))}
        for name in DATASETS.names()
    ]


def sources() -> list[dict[str, Any]]:
    """Every model source."""
    from harness.core.registry import first_line
    from harness.models import MODEL_SOURCES

    return [{"name": f"{name}:", "summary": first_line(MODEL_SOURCES.get(name))} for name in MODEL_SOURCES.names()]


def suites() -> list[dict[str, Any]]:
    """Every shipped suite."""
    from harness.spec import read_toml, shipped_suites

    return [{"name": name, "title": read_toml(path).get("title", "")} for name, path in shipped_suites().items()]


def show(made: Report, as_json: bool) -> None:
    """Print a report's tables."""
    if as_json:
        from harness.report.formats import FORMATS

        texts = [FORMATS.get("json").text(table) for table in made.tables]
        print_json({"suite": made.suite, "tables": [json.loads(text) for text in texts]})
        return
    console = stdout()
    for table in made.tables:
        console.print(terminal(table, console.width))
        console.print()


def print_json(value: Any) -> None:
    """JSON on standard output."""
    Console(highlight=False, soft_wrap=True).print_json(json.dumps(value, ensure_ascii=False, default=str), indent=1)


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


__all__ = ["HarnessError", "find_suite", "list_", "plan", "report", "run", "train"]
