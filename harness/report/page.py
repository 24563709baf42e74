"""The report page: what was run, the tables, how to read them, the models, and how to make it again.

Nothing in it depends on when, where or how fast it was made, so that the same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.cells import Cells, DatasetEntry, ModelEntry
from harness.core.numbers import as_fraction
from harness.report.cell_facets import model_label, norm_name
from harness.report.evidence import Evidence
from harness.report.markdown import Markup, bullets, pipe_table, pipes, plain
from harness.report.measure import measure
from harness.report.table import Table
from harness.report.words import NO_NUMBER, Written, count_words, interval_legend
from harness.spec import Suite
from harness.store import CARRIED

BATCH = "batch_size"
"""The argument of questions whose answers depend on the batch."""

FINGERPRINT_DIGITS = 12
"""Printed digits of a fingerprint: enough to compare by eye."""

KEPT = {
    "all": "all",
    "surrogate-correct": "those the surrogate gets right",
    "all-correct": "those every model gets right",
}


def opening(suite: Suite, evidence: Evidence, counted: int) -> str:
    """Title, and what was run: data, threat models, attacks with their resolved arguments."""
    cells = evidence.cells
    lines = [f"# {plain(suite.title or suite.name)}", ""]
    if suite.paper:
        lines += [f"Modelled on the printed table {suite.paper}.", ""]
    ids = {cell.id for cell in cells.cells}
    lines += [f"Suite `{suite.name}`: {len(ids)} cells planned, {counted} finished.", "", "## What was run", ""]
    return "\n".join([*lines, *what_was_run(evidence)])


def what_was_run(evidence: Evidence) -> list[str]:
    """Lines about data, threat models and attacks with their resolved arguments."""
    cells = evidence.cells
    data = [
        [entry.label, str(entry.samples), entry.selection, KEPT[entry.keep], _fingerprints(entry)]
        for entry in cells.datasets
    ]
    lines = [pipes(["Data", "Images", "Chosen", "Counted in tables", "Fingerprint"], data, numbers_from=5), ""]
    attacked = [cell for cell in cells.cells if cell.mode != "clean"]
    if threats := dict.fromkeys(cell.threat for cell in attacked):
        lines += [f"Threat models (budgets on the [0, 1] pixel scale): {'; '.join(threats)}.", ""]
    if (seeds := sorted({cell.seed for cell in attacked})) not in ([], [0]):
        lines += [f"Seeds: {', '.join(map(str, seeds))}.", ""]
    if attacks := list(_attacks(evidence)):
        lines += [
            pipes(["Attack", "Registered as", "Version", "Threat model", "Arguments"], attacks, numbers_from=5),
            "",
        ]
    return lines


def section(table: Table, figure: str | None) -> str:
    """One table with its heading, its figure if there is one, and its notes."""
    title = plain(table.title)
    picture = [f"![{title}]({figure})", ""] if figure else []
    return "\n".join([f"### {title}", "", pipe_table(table), "", *picture, bullets(table.notes)])


def closing(suite: Suite, tables: list[Table], evidence: Evidence, command: str) -> str:
    """The suite's notes, how to read the numbers, the models, and the command that makes the report again."""
    lines = [suite.notes.strip(), ""] if suite.notes else []
    lines += ["## How to read the numbers", "", bullets(list(legend(tables)))]
    lines += ["## Models", "", models_table(evidence), "", "## Make it again", "", f"    {command}", ""]
    return "\n".join(lines)


def legend(tables: list[Table]) -> Iterator[str]:
    """How to read the numbers of tables, in sentences."""
    counts = sorted({entry.estimate.n for table in tables for entry in table.entries if entry.estimate})
    if counts:
        yield f"{interval_legend(tables)} n = {count_words(counts)} is the number of images that count."
    if any(entry.metric == "robust_accuracy" for table in tables for entry in table.entries):
        yield "Robust accuracy counts clean errors as failures."
    yield f"{NO_NUMBER} stands for a number that could not be measured; an empty place is not part of the suite."


def models_table(evidence: Evidence) -> str:
    """What the models are, and how often they are right when nobody attacks."""
    datasets = evidence.cells.datasets
    head = ["Model", "Name", "Id", "Norm", "Norm layers", *(f"Clean accuracy, {entry.label}" for entry in datasets)]
    rows = [
        [
            model_label(model),
            model.name,
            model.description.id + _view(model),
            norm_name(model.description.norm),
            _layers(model),
            *(_clean_accuracy(model, entry.label, evidence) for entry in datasets),
            f"{model.description.parameters:,}",
            "not here" if model.left_out else _short(model.description.fingerprint),
        ]
        for model in evidence.cells.models
    ]
    return pipes([*head, "Parameters", "Fingerprint"], rows, numbers_from=5)


def _clean_accuracy(model: ModelEntry, dataset: str, evidence: Evidence) -> str:
    cells = evidence.cells
    data = next(entry for entry in cells.datasets if entry.label == dataset)
    fitting = (c for c in cells.cells if c.target == model.name and c.dataset == dataset and evidence.record(c))
    cell = next(fitting, None)
    estimate = measure(cell, "clean_accuracy", "all", data, evidence).estimate if cell else None
    if estimate is None:
        return NO_NUMBER
    decimals = 2 if estimate.n >= 10_000 else 1
    return Written(f"{estimate.value * 100:.{decimals}f}", f"{estimate.margin * 100:.{decimals}f}").text


def _layers(model: ModelEntry) -> str:
    layers = sorted((family, count) for family, count in model.description.norm_layers.items() if count)
    return ", ".join(f"{count} {norm_name(family)}" for family, count in layers) or "none"


def _view(model: ModelEntry) -> str:
    """What was asked of a model's normalization layers."""
    view = model.description.details.get("view", {})
    text = "".join(f", {key} = {view[key]}" for key in ("bn", "rn") if key in view)
    calibration = model.description.details.get("calibration")
    return f"{text} on {calibration['images']:,} images, {calibration['name']}" if calibration else text


def _attacks(evidence: Evidence) -> Iterator[list[str]]:
    """One line per attack and threat model with other arguments, in the order of the plan."""
    seen: dict[tuple[str, ...], tuple[dict[str, None], dict[int | None, None]]] = {}
    for cell in evidence.cells.cells:
        record = evidence.record(cell) if cell.mode != "clean" else None
        if record:
            question = record.question
            given = {key: value for key, value in question.arguments.items() if key not in (CARRIED, BATCH)}
            arguments = ", ".join(f"{key} = {_argument(value)}" for key, value in given.items())
            key = (cell.attack, question.attack or "", question.attack_version or "", arguments)
            threats, sizes = seen.setdefault(key, ({}, {}))
            threats[cell.threat] = None
            sizes[question.arguments.get(BATCH)] = None
    for (*names, arguments), (threats, sizes) in seen.items():
        fixed = [f"{BATCH} = {size}" for size in sizes if size is not None]
        if fixed and None in sizes:
            fixed[-1] += " for models whose predictions depend on the batch"
        yield [*names, "; ".join(threats), ", ".join([arguments, *fixed] if arguments else fixed)]


def _argument(value: Any) -> str:
    return as_fraction(value) if isinstance(value, float) else str(value)


def _fingerprints(data: DatasetEntry) -> str:
    """One per geometry in which models were given the images."""
    shown = (f"{plain(at)}: {_short(one)}" if at else _short(one) for at, one in data.fingerprints.items())
    return Markup("; ".join(shown))


def _short(fingerprint: str) -> Markup:
    return Markup(f"`{fingerprint[:FINGERPRINT_DIGITS]}`")


def finished(cells: Cells, evidence: Evidence) -> int:
    """How many of the suite's records are there."""
    return len({cell.id for cell in cells.cells if evidence.record(cell)})
