"""The sentences below a table: what was counted, what is missing, and every warning sign of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from harness.metrics.sign_tests import LEVEL
from harness.metrics.summary import AFTER
from harness.report.axes import SUMMARIES
from harness.report.evidence import Evidence
from harness.report.flag_notes import raised_by
from harness.report.flag_notes import sentences as flag_sentences
from harness.report.keeping_words import keep_sentences
from harness.report.model_notes import random_weights, shared_labels, whitebox_entries
from harness.report.relation import MEANS_OVER
from harness.report.table import Entry, Run, Table
from harness.report.words import (
    CLEAN_RATES,
    DENOMINATOR_WORDS,
    GAIN,
    INCOMPLETE_MARK,
    MEANS,
    METRIC_WORDS,
    NO_NUMBER,
    NOT_APPLICABLE,
    count_words,
)
from harness.store import CARRIED


def notes_of(table: Table, evidence: Evidence) -> Table:
    """The table with its notes and flags."""
    runs = table.runs
    sentences = (
        *_counted(table, runs, evidence), *_unattacked(table, runs, evidence), *_means(table), *_averages(table),
        *_comparisons(table), *_best(table), *shared_labels(table, evidence), *whitebox_entries(table),
        *_batches(runs, evidence), *_carried(runs, evidence), *_members(runs, evidence), *_missing(runs),
        *random_weights(table, runs, evidence),
    )  # fmt: skip
    flags = raised_by(table, evidence)
    return replace(table, notes=(*sentences, *flag_sentences(flags)), flags=flags)


def _counted(table: Table, runs: list[Run], evidence: Evidence) -> Iterator[str]:
    shown = [run for run in runs if run.metric not in CLEAN_RATES or table.metric in CLEAN_RATES]
    counts = sorted({run.estimate.n for run in shown if run.estimate})
    words = METRIC_WORDS[table.metric]
    bare = table.metric in (*MEANS, GAIN) and table.denominator == "all"
    of = "" if bare else f" {DENOMINATOR_WORDS[table.denominator]}"
    unit = "" if table.metric in MEANS else " in percent"
    number = f"; n = {count_words(counts)} per entry" if counts else ""
    yield f"{words[0].upper()}{words[1:]}{unit}{of}{number}."
    if table.reference or table.metric in CLEAN_RATES:
        return  # count all images, whatever the suite keeps for its other tables
    used = {run.cell.dataset for run in runs}
    keeps = {entry.keep for entry in evidence.cells.datasets if entry.label in used}
    yield from keep_sentences(keeps, evidence, clean=any(run.metric == "clean_accuracy" for run in runs))


def _unattacked(table: Table, runs: list[Run], evidence: Evidence) -> Iterator[str]:
    """Images on which white-box attacks have nothing to do, and whose distance is therefore 0."""
    if table.metric not in ("mean_l2", "mean_linf") or table.denominator != "all":
        return
    records = [record for run in runs if run.cell.mode == "whitebox" and (record := evidence.record(run.cell))]
    # In fixed batches all images are attacked.
    goals = {record.question.goal for record in records if not record.surrogate.batch_dependent}
    if "untargeted" in goals:
        yield "Images that are wrong when clean are not attacked and count as 0."
    elif goals:
        yield "Images that are in the wanted class when clean are not attacked and count as 0."


def _means(table: Table) -> Iterator[str]:
    counts = sorted({len(entry.runs) for entry in table.entries if entry.spread is not None})
    if counts:
        yield f"Entries with s are means over {count_words(counts)} runs; s is the standard deviation over the runs."
    if any(entry.incomplete for entry in table.entries):
        yield f"{INCOMPLETE_MARK} some of the runs are missing from this mean."
    means = [entry for entry in table.entries if entry.estimate and not entry.comparison and len(entry.runs) != 1]
    if any(not (table.average and entry.runs) for entry in means):
        yield "The interval of a mean is the mean of the intervals: wide enough even where parts share images."
    for over in dict.fromkeys(entry.over for entry in means if entry.over):
        yield f"{SUMMARIES[over]}: over the cells of the row whose relation is {' or '.join(MEANS_OVER[over]).lower()}."


def _averages(table: Table) -> Iterator[str]:
    """What entries that are means on purpose are means of."""
    counts = sorted({len(entry.runs) for entry in table.entries if len(entry.runs) > 1 and not entry.comparison})
    if table.average and counts:
        yield (
            f"Entries are means over {count_words(counts)} cells ({', '.join(table.average)}) of equal weight. Cells "
            "share their images, so that the images are the sample: the interval is that of a mean over images of "
            "what all cells of an entry say about each."
        )


def _comparisons(table: Table) -> Iterator[str]:
    shown = {entry.comparison for entry in table.entries}
    if "spread" in shown:
        unit = "" if table.metric in MEANS else ", in percentage points"
        yield f"Spread: the largest minus the smallest value of the row{unit}."
    if "agreement" in shown:
        yield "Agreement: of the images counted in all entries of the row, the share with the same outcome in each."
    if any(entry.missing == "too few" for entry in table.entries):
        yield f"{NOT_APPLICABLE}: the row has fewer than two entries to compare."


def _best(table: Table) -> Iterator[str]:
    if any(entry.best for entry in table.entries):
        worse = {"greatest": "smaller", "smallest": "greater"}[str(table.best)]
        yield (
            f"Bold: of the entries that differ only in {' or '.join(table.among)}, the {table.best} and those not "
            f"significantly {worse} (paired tests over the images that count in both, Holm over all pairs of such "
            f"entries, {LEVEL:.0%})."
        )

    elif table.best and all(entry.estimate for entry in table.entries) and not any(map(_has_rivals, table.entries)):
        yield (
            f"Nothing is bold: no two entries differ only in {' or '.join(table.among)}; the table's among says in "
            "what else they may differ."
        )


def _has_rivals(entry: Entry) -> bool:
    return entry.best is not None


def _batches(runs: list[Run], evidence: Evidence) -> Iterator[str]:
    """Models whose predictions depend on the batch, and the batches in which they were asked."""
    names: dict[int, dict[str, None]] = {}
    for run in runs:
        if record := evidence.record(run.cell):
            sides = ((run.cell.surrogate, record.surrogate), (run.cell.target, record.target))
            dependent = dict.fromkeys(name for name, description in sides if description.batch_dependent)
            if dependent:
                names.setdefault(int(record.question.arguments["batch_size"]), {}).update(dependent)
    for size, models in sorted(names.items()):
        yield (
            f"Predictions of {', '.join(models)} depend on the other images of a batch: clean, crafted on and judged "
            f"in fixed batches of {size} consecutive images (the last one may be smaller), all of them attacked."
        )


def _carried(runs: list[Run], evidence: Evidence) -> Iterator[str]:
    """Targets that take images of another size than the surrogate's."""
    targets: dict[str, dict[str, None]] = {}
    for run in runs:
        if (record := evidence.record(run.cell)) and (how := record.question.arguments.get(CARRIED)):
            targets.setdefault(how, {})[run.cell.target] = None
    for how, names in targets.items():
        size, _, scaling = how.partition(", ")
        yield f"Images are crafted in the surrogate's size and scaled ({scaling}) to {size} for {', '.join(names)}."


def _members(runs: list[Run], evidence: Evidence) -> Iterator[str]:
    """Robust accuracy after each member of composed attacks: which of them did the work."""
    for run in runs:
        record = evidence.record(run.cell)
        values = record.values if record and run.metric not in CLEAN_RATES else {}
        after = [
            f"{100 * value:.1f} after {key[len(AFTER) :]}" for key, value in values.items() if key.startswith(AFTER)
        ]
        if after:
            yield f"{run.cell.attack} {run.cell.threat} on {run.cell.target}, robust accuracy: {', '.join(after)}."


def _missing(runs: list[Run]) -> Iterator[str]:
    for reason, words in (("not run", "not run"), ("failed", "failed"), ("undefined", "without an image to count")):
        lacking = [run for run in runs if run.missing == reason]
        if lacking:
            details = Counter(run.detail.rstrip(".") for run in lacking if run.detail)
            because = f": {'; '.join(details)}" if details else ""
            yield f"{NO_NUMBER} {len(lacking)} of {len(runs)} cells {words}{because}."
