"""The sentences below a table that several suites fill: which did, which did not, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.numbers import as_fraction
from harness.papers import printed_table
from harness.report.evidence import Evidence
from harness.report.table import Row, Run, Table
from harness.report.words import NOT_APPLICABLE, count_words


def joint_notes(table: Table, evidences: Mapping[str, Evidence], never_run: Sequence[str]) -> Iterator[str]:
    """What to know about where the numbers of a table come from.

    Args:
        table: the filled table.
        evidences: of the suites that fill it, by name.
        never_run: suites that print it and were never run.
    """
    runs = {name: _runs_of(evidence, table) for name, evidence in evidences.items()}
    yield f"From the last runs of {'; '.join(_extent(name, own) for name, own in runs.items())}."
    if never_run:
        yield f"Never run with this store, {NOT_APPLICABLE} here: {', '.join(never_run)}."
    lacking = [_lacking(name, own) for name, own in runs.items() if any(run.missing == "not run" for run in own)]
    if lacking:
        yield f"Without a record: {'; '.join(lacking)}."
    if empty := [_row_name(row, table) for row in table.rows if _is_empty(row)]:
        yield f"Rows of which no suite has a number: {', '.join(empty)}."
    yield from _differences(runs, evidences)


def _runs_of(evidence: Evidence, table: Table) -> list[Run]:
    ids = evidence.cells.ids()
    return [run for run in table.runs if run.cell.id in ids]


def _extent(name: str, runs: Sequence[Run]) -> str:
    """A suite with its data sets, and how many images count in each."""
    counts: dict[str, set[int]] = {}
    for run in runs:
        counts.setdefault(run.cell.dataset, set()).update([run.estimate.n] if run.estimate else [])
    each = [f"{data}, n = {count_words(sorted(n))}" if n else data for data, n in counts.items()]
    return f"{name} ({'; '.join(each)})" if each else name


def _lacking(name: str, runs: Sequence[Run]) -> str:
    lacking = [run for run in runs if run.missing == "not run"]
    models = dict.fromkeys(model for run in lacking for model in (run.cell.surrogate, run.cell.target))
    return f"{len(lacking)} of {len(runs)} cells of {name} ({', '.join(models)})"


def _is_empty(row: Row) -> bool:
    parts = [part for entry in row.entries for part in entry.parts if part.missing != "not planned"]
    return bool(parts) and all(part.missing == "not in the suite" for part in parts)


def _row_name(row: Row, table: Table) -> str:
    numbers = {part.printed.value.row for entry in row.entries for part in entry.parts if part.printed}
    printed = next(one for one in printed_table(table.reference).rows if one.row in numbers)
    return " ".join(dict.fromkeys(filter(None, (printed.group, *printed.labels))))


def _differences(runs: Mapping[str, Sequence[Run]], evidences: Mapping[str, Evidence]) -> Iterator[str]:
    """Columns under whose attack, with one budget, suites ran different things."""
    asked: dict[tuple[str, str, float], dict[str, dict[str, Any]]] = {}
    for name, evidence in evidences.items():
        for run in runs[name]:
            record = evidence.record(run.cell) if run.cell.mode != "clean" else None
            if record:
                place = (run.facets["column"], run.cell.norm, run.cell.epsilon)
                attack = {"attack": record.question.attack, **record.question.arguments}
                asked.setdefault(place, {})[name] = attack
    told: dict[str, None] = {}
    for (column, _, _), by_suite in asked.items():
        keys = dict.fromkeys(key for arguments in by_suite.values() for key in arguments)
        values = {key: {name: _text(own.get(key)) for name, own in by_suite.items()} for key in keys}
        differing = {key: texts for key, texts in values.items() if len(set(texts.values())) > 1}
        for name in by_suite if differing else ():
            told[f"{column}, {name}: {', '.join(f'{key} = {texts[name]}' for key, texts in differing.items())}"] = None
    if told:
        yield f"The suites attack differently: {'; '.join(told)}."


def _text(value: Any) -> str:
    return as_fraction(value) if isinstance(value, float) else "none" if value is None else str(value)
