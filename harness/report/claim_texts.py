"""Judged claims in words: a section of the page, and a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.metrics.paired import PairedMeans
from harness.report.claims import Claim, Comparison
from harness.report.facets import header_of
from harness.report.markdown import bullets, pipes, plain
from harness.report.terminal import keep_whole
from harness.report.words import CLEAN_RATES, DENOMINATOR_WORDS, GAIN, METRIC_WORDS, NO_NUMBER

if TYPE_CHECKING:
    from rich.console import RenderableType

OVERVIEW = ("Claim", "Verdict", "As claimed", "Significant", "Against", "Difference", "Largest p", "Images needed")
"""Columns of the overview: of the pairs, how many differ as claimed, how many of these significantly, and how many
significantly against the claim; the range of differences; the largest adjusted p value."""

HOW_TO_READ = (
    "Both sides of a pair are compared on the images that count in all its cells, by a two-sided sign-flip test of "
    "their means per image, which for one cell per side is the exact McNemar test. p is adjusted for the pairs of the "
    "claim (Holm); significant means p ≤ 0.05. Differences are in percentage points, with 95% intervals.",
    "Reproduced: every pair is significant as claimed. Contradicted: at least one pair is significant against it. Not "
    "run: otherwise, a pair lacks its records. Underpowered: all else; the images needed would decide with a chance of "
    "80%, at the level that Holm leaves to the undecided pairs, if what was seen were the truth.",
)
"""What stands below claims."""


def claims_section(claims: Sequence[Claim]) -> str:
    """A section of the page: an overview, and below it every claim with its pairs."""
    head = pipes(OVERVIEW, [overview(claim) for claim in claims], numbers_from=2)
    return "\n".join(["## Claims", "", head, "", bullets(HOW_TO_READ), *map(_paragraphs, claims)])


def overview(claim: Claim) -> list[str]:
    """A claim in one line, under the headings of OVERVIEW."""
    total = len(claim.comparisons)
    significant, against = claim.count("reproduced"), claim.count("contradicted")
    counts = [f"{claim.holding} of {total}", str(significant), str(against)] if claim.tests else [NO_NUMBER] * 3
    largest = max((c.adjusted for c in claim.comparisons if c.means), default=None)
    p = NO_NUMBER if largest is None else p_words(largest)
    return [claim.spec.name, claim.verdict, *counts, _range(claim.tests), p, _needed(claim.needed_n)]


def terminal_claims(claims: Sequence[Claim], width: int = 100) -> RenderableType:
    """The overview to print with rich and crop=False, and what the claims say."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1))
    for i, heading in enumerate(OVERVIEW):
        table.add_column(heading, justify="right" if i > 1 else "left")
    styles = {"reproduced": "green", "contradicted": "red", "underpowered": "yellow", "not run": "dim"}
    for claim in claims:
        name, verdict, *numbers = map(Text, overview(claim))
        verdict.stylize(styles[claim.verdict])
        table.add_row(name, verdict, *numbers)
    said = [Text(f"{claim.spec.name}: {_said(claim)}") for claim in claims]
    notes = [Text(note, style="dim") for note in (*(n for claim in claims for n in _notes(claim)), *HOW_TO_READ)]
    return Group(Text("Claims", style="bold"), keep_whole(table, width), *said, *notes)


def p_words(p: float) -> str:
    """A p value to two digits."""
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def _paragraphs(claim: Claim) -> str:
    spec = claim.spec
    of = "" if claim.spec.value in (*CLEAN_RATES, GAIN) else f" {DENOMINATOR_WORDS[claim.denominator]}"
    words = METRIC_WORDS[spec.value]
    common = [f"where {_filter_words(spec.where)}"] if spec.where else []
    means = [f"mean over {', '.join(spec.average)}"] if spec.average else []
    detail = "; ".join([f"{words[0].upper()}{words[1:]} in percent{of}", *common, *means])
    datasets = len({comparison.pair.match.get("dataset") for comparison in claim.comparisons}) > 1
    matched = [facet for facet in claim.comparisons[0].pair.match if facet in spec.match or datasets]
    head = [*map(header_of, matched), "Verdict", _filter_words(spec.greater), _filter_words(spec.than)]
    rows = [[*(c.pair.match[facet] for facet in matched), c.verdict, *_numbers(c)] for c in claim.comparisons]
    table = pipes([*head, "Difference", "n", "p", "Images needed"], rows, numbers_from=len(matched) + 1)
    heading = f"### {plain(spec.name)}: {claim.verdict}"
    return "\n".join([heading, "", plain(_said(claim)), "", table, "", bullets([f"{detail}.", *_notes(claim)])])


def _said(claim: Claim) -> str:
    """The claim in the suite's words, or else in its filters'."""
    spec = claim.spec
    words = METRIC_WORDS[spec.value]
    sides = f"where {_filter_words(spec.greater)} than where {_filter_words(spec.than)}"
    both = f", both where {_filter_words(spec.where)}" if spec.where else ""
    mean = f", mean over {', '.join(spec.average)}" if spec.average else ""
    return spec.text or f"{words[0].upper()}{words[1:]} is greater {sides}{both}{mean}"


def _notes(claim: Claim) -> Iterator[str]:
    name, comparisons = claim.spec.name, claim.comparisons
    yield from (f"{name}: {kept[0].lower()}{kept[1:]}" for kept in claim.kept)
    lacking = [comparison for comparison in comparisons if comparison.means is None]
    if lacking:
        shown = [f"{', '.join(c.pair.match.values())}: {c.detail}" for c in lacking]
        yield f"{name}: {len(lacking)} of {len(comparisons)} pairs without a test ({'; '.join(shown)})."
    if claim.alone:
        yield f"{name}: on one side only, and left out: {'; '.join(claim.alone)}."
    if claim.absent:
        total = len(comparisons) + len(claim.alone) + claim.absent
        yield f"{name}: {claim.absent} of the paper's {total} pairs are no part of {claim.whose}."
    if claim.untrained:
        names = ", ".join(claim.untrained)
        yield f"{name}: without {names}, whose weights are not here; other trainings of these networks stand for them."
    if any(len({cell.dataset for cell in c.pair.cells}) > 1 for c in comparisons):
        yield f"{name}: its sides are on different feature sets, paired by the images that these were made from."
    if any(comparison.pair.bases[0] for comparison in comparisons):
        yield f"{name}: relative gains, compared by the normal test of the delta method over images, not by sign flips."
    if claim.needed_n == math.inf:
        yield f"{name}: no number of images would decide a pair without a difference (∞)."


def _filter_words(filters: Mapping[str, Any]) -> str:
    parts = []
    for facet, wanted in filters.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        parts.append(f"{header_of(facet)} = {' or '.join(map(str, values))}")
    return ", ".join(parts)


def _numbers(comparison: Comparison) -> list[str]:
    """Both values, difference with interval, images, p value and images needed, as texts."""
    means = comparison.means
    if means is None:
        return [NO_NUMBER, NO_NUMBER, NO_NUMBER, NO_NUMBER, NO_NUMBER, ""]
    decimals = 2 if means.n >= 10_000 else 1
    first, second = (f"{100 * value:.{decimals}f}" for value in (means.first, means.second))
    ends = " to ".join(f"{100 * end:+.{decimals}f}" for end in (means.low, means.high))
    difference = f"{100 * means.difference:+.{decimals}f} ({ends})"
    return [first, second, difference, str(means.n), p_words(comparison.adjusted), _needed(comparison.needed_n)]


def _range(tests: Sequence[PairedMeans]) -> str:
    if not tests:
        return NO_NUMBER
    differences = sorted(means.difference for means in tests)
    ends = dict.fromkeys(f"{100 * end:+.1f}" for end in (differences[0], differences[-1]))
    return " to ".join(ends)


def _needed(images: float | None) -> str:
    return "" if images is None else "∞" if images == math.inf else f"{images:,.0f}"
