"""A suite's values beside those that the paper prints, and how far the two agree."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.papers import PrintedValue, paper_claims, printed_table
from harness.report.table import Against, Entry, Table

SUFFIX = "-compared"
"""Behind the name of a table that shows the paper's numbers too."""


def compared(table: Table) -> Table:
    """A table of a paper with the paper's numbers and the differences, and sentences that sum them up."""
    printed, against = printed_table(table.reference), against_of(table)
    notes = [*_sentences(against), *table.notes, *([f"On the printed table: {printed.note}"] if printed.note else [])]
    title = f"{printed.citation}: ours, the paper's, and the difference in percentage points"
    return replace(table, name=table.name + SUFFIX, title=title, notes=tuple(notes), against=against)


def against_of(table: Table) -> Against:
    """How far the values of a table of a paper agree with the printed ones."""
    ours = {entry.printed.value: entry for entry in table.entries if entry.printed}
    differences = {value: entry.difference for value, entry in ours.items() if entry.difference is not None}
    return Against(
        printed=len(ours),
        compared=len(differences),
        mean_absolute=statistics.fmean(map(abs, differences.values())) if differences else None,
        within=sum(_inside(value, ours[value]) for value in differences),
        directions=dict(_directions({value: _value(ours[value]) for value in differences})),
    )


def _value(entry: Entry) -> float:
    assert entry.estimate is not None, "only entries with a difference are asked"
    return entry.estimate.value


def _inside(value: PrintedValue, entry: Entry) -> bool:
    """Whether a printed number lies in our interval, as far as its own digits tell."""
    assert entry.estimate is not None, "only entries with a difference are asked"
    rounding = 0.5 * 10.0 ** -len(value.value.partition(".")[2])
    return 100 * entry.estimate.low - rounding <= value.number <= 100 * entry.estimate.high + rounding


def _directions(ours: Mapping[PrintedValue, float]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Of the claims on printed numbers of which we have some: pairs in the printed direction, and pairs."""
    tables = {value.reference for value in ours}
    for claim in paper_claims():
        if claim.comparable and claim.references & tables:
            pairs = [pair for pair in claim.pairs if pair.left in ours and pair.right in ours]
            signs = [
                (ours[pair.left] - ours[pair.right]) * (pair.left.number - pair.right.number) > 0 for pair in pairs
            ]
            if signs:
                yield claim.id, (sum(signs), len(signs))


def _sentences(against: Against) -> Iterator[str]:
    yield f"Compared with the paper: {against.compared} of {against.printed} numbers."
    if against.mean_absolute is not None:
        yield (
            f"Mean absolute difference: {against.mean_absolute:.1f} percentage points; {against.within} of "
            f"{against.compared} printed numbers lie in our 95% interval, which is about images alone, not about "
            "training the networks again."
        )
    if against.directions:
        each = ", ".join(f"{id} {same} of {of}" for id, (same, of) in against.directions.items())
        yield f"Pairs of the paper's claims that differ in the direction of its own numbers: {each}."
