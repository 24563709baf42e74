"""The sentences below a table about its models: what labels stand for, and whose images they are attacked with."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.cell_facets import RANDOM_MARK, model_label, norm_name
from harness.report.evidence import Evidence
from harness.report.facets import permitted
from harness.report.table import Run, Table


def shared_labels(table: Table, evidence: Evidence) -> Iterator[str]:
    """Labels under which several models were averaged."""
    labels = {m.name: f"{m.label} ({norm_name(m.description.norm)})" for m in evidence.cells.models}
    names: dict[tuple[str, ...], None] = {}
    for entry in (entry for entry in table.entries if not entry.comparison):
        for side in (name for name in ("surrogate", "target") if name not in permitted(table.average)):
            members = tuple(dict.fromkeys(getattr(run.cell, side) for run in entry.runs))
            if len(members) > 1:
                names[members] = None
    for members in names:
        yield f"{labels[members[0]]} stands for {len(members)} models: {', '.join(members)}."


def whitebox_entries(table: Table) -> Iterator[str]:
    """Transfer tables hold white-box entries where the surrogate is its own target, as papers print them."""
    runs = [run for run in table.runs if run.cell.mode == "transfer"]
    own = sum(map(_is_own, runs))
    if own and table.average:
        yield f"In {own} of the {len(runs)} cells behind the table surrogate and target are the same model (white-box)."
        return
    parts = [[_is_own(run) for run in entry.runs] for entry in table.entries if not entry.comparison]
    if any(part and all(part) for part in parts):
        whole = any(not entry.runs and not entry.over for entry in table.entries)
        includes = ", and the mean includes it" if whole else ""
        yield f"Where surrogate and target are the same model, the entry is white-box{includes}."
    mixed = sorted({(sum(part), len(part)) for part in parts if any(part) and not all(part)})
    for some, of in mixed:
        yield (
            "Where surrogate and target have one label, the entry mixes models attacked by themselves with others: "
            f"{some} of its {of} runs are white-box."
        )


def _is_own(run: Run) -> bool:
    """Whether a transfer cell is a white-box one."""
    return run.cell.mode == "transfer" and run.cell.surrogate == run.cell.target


def random_weights(table: Table, runs: list[Run], evidence: Evidence) -> Iterator[str]:
    """Which models were never trained."""
    shown = {name for run in runs for name in (run.cell.surrogate, run.cell.target)}
    random = [m for m in evidence.cells.models if m.name in shown and model_label(m).endswith(RANDOM_MARK)]
    if random and table.reference:
        # Its headers are the paper's, which carry no mark of ours.
        yield f"Random weights, never trained: {', '.join(model.name for model in random)}."
    elif random:
        yield f"{RANDOM_MARK} random weights, never trained."
