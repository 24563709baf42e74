"""The words and numbers of tables: what metrics are called, and how an estimate is written."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from harness.cells import Cells
from harness.report.table import Entry, Table

METRIC_WORDS = {
    "clean_accuracy": "clean accuracy",
    "clean_error": "clean error",
    "robust_accuracy": "robust accuracy",
    "robust_error": "robust error",
    "attack_success_rate": "attack success rate",
    "accuracy_gain": "relative gain in robust accuracy from batch statistics",
    "mean_l2": "mean L2 distance",
    "mean_linf": "mean L∞ distance",
    "mean_passes": "passes per image",
}
"""How the report calls what it measures."""

CLEAN_RATES = ("clean_accuracy", "clean_error")
"""Metrics of clean images, which count all of them; over the correct ones they would be 100% by construction."""

GAIN: Final = "accuracy_gain"
"""How much greater robust accuracy is with the statistics of the batch, as a share of what it is with running ones."""

MEANS = {"mean_l2": 3, "mean_linf": 4, "mean_passes": 1}
"""Metrics that are means and not rates, with the decimals they are printed with."""

DENOMINATOR_WORDS = {
    "all": "of all images",
    "own-correct": "of the images that the target classifies correctly when clean",
    "surrogate-correct": "of the images that the surrogate classifies correctly when clean",
    "common-correct": "of the images that every model of the suite classifies correctly when clean",
}
"""Which images a rate counts."""

MODE_WORDS = {"whitebox": "white-box ", "transfer": "transfer "}

NO_NUMBER = "–"
"""What stands in place of a number that could not be measured."""

NOT_APPLICABLE = "n/a"
"""What stands in place of a comparison of fewer than two entries, and of what a paper prints and the suite has not."""

INCOMPLETE_MARK = "*"
"""Behind a mean that lacks some of its runs."""


class Written(NamedTuple):
    """An entry as text, in parts, so that formats can set them apart."""

    value: str
    """The number, or a dash, or nothing where the plan has no cell."""
    margin: str = ""
    """How far the interval reaches at its farther end, without the sign ±; empty where there is no interval."""
    spread: str = ""
    """Standard deviation over the runs, without its name."""
    mark: str = ""
    """Mark of an incomplete mean."""
    bold: bool = False
    """Whether the number is among the best of its group."""

    @property
    def text(self) -> str:
        """All parts in one line, such as "81.2 ±2.4"."""
        interval = f" ±{self.margin}" if self.margin else ""
        spread = f" (s {self.spread})" if self.spread else ""
        return f"{self.value}{self.mark}{interval}{spread}"


def written(entry: Entry, percent_decimals: int) -> Written:
    """An entry as text: rates in percent, means with their own decimals."""
    estimate = entry.estimate
    if estimate is None:
        return Written(
            {"not planned": entry.blank, "too few": NOT_APPLICABLE, "not in the suite": NOT_APPLICABLE}.get(
                entry.missing, NO_NUMBER
            )
        )
    decimals = MEANS.get(entry.metric, percent_decimals)
    scale = 1 if entry.metric in MEANS else 100
    return Written(
        value=f"{estimate.value * scale:.{decimals}f}",
        margin="" if math.isnan(estimate.margin) else f"{estimate.margin * scale:.{decimals}f}",
        spread="" if entry.spread is None else f"{entry.spread * scale:.{decimals}f}",
        mark=INCOMPLETE_MARK if entry.incomplete else "",
        bold=bool(entry.best),
    )


def title_of(metric: str, mode: str | None, cells: Cells) -> str:
    """A heading that names what all cells of a table share, such as "White-box robust accuracy (%), L∞ 8/255"."""
    words = MODE_WORDS.get(mode or "", "") + METRIC_WORDS[metric]
    unit = "" if metric in MEANS else " (%)"
    threats = {cell.threat for cell in cells.cells if cell.threat and (mode is None or cell.mode == mode)}
    datasets = {cell.dataset for cell in cells.cells}
    shared = [*(threats if len(threats) == 1 else ()), *(datasets if len(datasets) == 1 else ())]
    return ", ".join([words[0].upper() + words[1:] + unit, *shared])


def interval_legend(tables: list[Table]) -> str:
    """What the numbers behind ± are; empty when there are none."""
    metrics = {e.metric for table in tables for e in table.entries if e.estimate and e.comparison != "spread"}
    rates, means = metrics - {*MEANS, GAIN}, metrics & MEANS.keys()
    also = " (of the normal interval for means)" if rates and means else ""
    averages = "; averages over cells have that of a mean over images" if any(table.average for table in tables) else ""
    kind = "Wilson" if rates else "normal"
    return f"± is how far the 95% {kind} interval{also} reaches at its farther end{averages}." if metrics else ""


def count_words(counts: list[int]) -> str:
    """Sorted counts as a text: "1000", or "812 to 934"."""
    return f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
