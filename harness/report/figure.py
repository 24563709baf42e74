"""A figure per table: bars with their intervals for white-box tables, a heat map for transfer tables.

Drawn without a display and without dates, so that the same table gives the same bytes under one version of matplotlib.
matplotlib is imported on the first call, because it takes a second that most reports do not need.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.report.table import Entry, Row, Table
from harness.report.words import CLEAN_RATES, GAIN, MEANS, METRIC_WORDS, NO_NUMBER, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#9aa5b1", "#1f5f8b", "#e08e45", "#4b9b7d", "#a4546e", "#7a6bb0", "#c9b037", "#5b8c9e")
"""Grey for clean accuracies, then one colour per column."""

INK = "#2b3138"
PAPER = "white"

TITLE_CHARACTERS_PER_INCH = 9
"""What fits beside each other at the size of titles."""


def png(table: Table) -> bytes:
    """The figure of a table as a PNG image."""
    return _drawn(table, "png")


def svg(table: Table) -> bytes:
    """The figure of a table as an SVG image."""
    return _drawn(table, "svg")


def _drawn(table: Table, kind: str) -> bytes:
    import matplotlib

    # Without a salt, ids in SVG are random; text is what it says, and a dollar sign in it no mathematics.
    with matplotlib.rc_context({"svg.hashsalt": "harness", "text.parse_math": False}):
        return _save(draw(table), kind)


def draw(table: Table) -> Figure:
    """The figure of a table."""
    from matplotlib.figure import Figure

    table = _without_comparisons(table)
    transfer = any(run.cell.mode == "transfer" for run in table.runs)
    size = _map_size(table) if transfer else _bar_size(table)
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    axes = figure.add_subplot()
    title = textwrap.fill(_shown(table.title), int(size[0] * TITLE_CHARACTERS_PER_INCH))
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=12)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    (_heat_map if transfer else _bars)(table, axes)
    return figure


def _without_comparisons(table: Table) -> Table:
    """Spread and agreement are not on the scale of the other columns."""
    others = ("spread", "agreement")
    kept = [i for i in range(len(table.columns)) if not any(row.entries[i].comparison in others for row in table.rows)]
    rows = tuple(replace(row, entries=tuple(row.entries[i] for i in kept)) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows)


def _save(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # Without these, both kinds carry the date or the version.
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
    return buffer.getvalue()


def _bar_size(table: Table) -> tuple[float, float]:
    return min(16.0, 3.0 + 0.32 * len(table.rows) * (len(table.columns) + 1)), 4.0


def _map_size(table: Table) -> tuple[float, float]:
    return 3.0 + 0.85 * len(table.columns), 1.4 + 0.42 * len(table.rows)


def _scale(entry: Entry) -> float:
    return 1.0 if entry.metric in MEANS else 100.0


def _column_label(column: tuple[str, ...]) -> str:
    return _shown(" ".join(filter(None, column)))


def _bars(table: Table, axes: Axes) -> None:
    """Groups of bars, one group per row and one colour per column, with 95% intervals."""
    width = 0.8 / len(table.columns)
    attacks = [i for i, _ in enumerate(table.columns) if not _is_clean(table, i)]
    for i, column in enumerate(table.columns):
        offset = (i - (len(table.columns) - 1) / 2) * width
        color = COLORS[1 + attacks.index(i) % (len(COLORS) - 1)] if i in attacks else COLORS[0]
        shown = [(x + offset, row.entries[i]) for x, row in enumerate(table.rows) if row.entries[i].estimate]
        for x in (x + offset for x, row in enumerate(table.rows) if row.entries[i].missing not in ("", "not planned")):
            axes.text(x, 0, NO_NUMBER, ha="center", va="bottom", fontsize=9, color=color)
        places = [x for x, _ in shown]
        heights, errors = _heights([entry for _, entry in shown])
        axes.bar(places, heights, width * 0.9, color=color, label=_column_label(column), zorder=2)
        axes.errorbar(places, heights, yerr=errors, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2, zorder=3)
    axes.set_xticks(range(len(table.rows)), [_row_label(row) for row in table.rows])
    axes.set_ylabel(_value_label(table), fontsize=9, color=INK)
    if table.metric != GAIN:  # may be negative, and more than all
        axes.set_ylim(bottom=0, top=None if table.metric in MEANS else 100)
    axes.grid(axis="y", color="#e4e7eb", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c3cad2")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _heights(entries: list[Entry]) -> tuple[list[float], list[list[float]]]:
    """Heights of bars, and how far their intervals reach below and above."""
    estimates = [(entry.estimate, _scale(entry)) for entry in entries if entry.estimate]
    below = [(estimate.value - estimate.low) * scale for estimate, scale in estimates]
    above = [(estimate.high - estimate.value) * scale for estimate, scale in estimates]
    return [estimate.value * scale for estimate, scale in estimates], [below, above]


def _heat_map(table: Table, axes: Axes) -> None:
    """A field per entry, darker for larger values; light grey fields have no number."""
    import numpy as np

    values = np.array([[_number(entry) for entry in row.entries] for row in table.rows])
    top = None if table.metric in MEANS else 100
    axes.imshow(np.ma.masked_invalid(values), cmap="Blues", vmin=0, vmax=top, aspect="auto")
    axes.set_facecolor("#f4f5f7")
    middle = 50 if top else float(np.nanmax(values, initial=0)) / 2
    for y, row in enumerate(table.rows):
        for x, entry in enumerate(row.entries):
            dark = entry.estimate is not None and _number(entry) > middle * 1.2
            text = written(entry, table.decimals)
            axes.text(x, y, text.value + text.mark, ha="center", va="center", fontsize=9, color=PAPER if dark else INK)
    axes.set_xticks(range(len(table.columns)), [_column_label(column) for column in table.columns])
    axes.set_yticks(range(len(table.rows)), [_shown(" · ".join(filter(None, row.header))) for row in table.rows])
    axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks([x - 0.5 for x in range(1, len(table.columns))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(table.rows))], minor=True)
    axes.grid(which="minor", color=PAPER, linewidth=2)
    axes.tick_params(which="minor", length=0)


def _number(entry: Entry) -> float:
    return entry.estimate.value * _scale(entry) if entry.estimate else float("nan")


def _is_clean(table: Table, column: int) -> bool:
    """Whether a column holds clean accuracies beside something else."""
    return table.metric not in CLEAN_RATES and any(row.entries[column].metric in CLEAN_RATES for row in table.rows)


def _row_label(row: Row) -> str:
    return "\n".join(_shown(text) for text in row.header if text)


def _shown(text: str) -> str:
    """Text without line breaks and other control characters, for which fonts have no glyph."""
    return "".join(character if character.isprintable() else " " for character in text)


def _value_label(table: Table) -> str:
    words = METRIC_WORDS[table.metric]
    return words[0].upper() + words[1:] + ("" if table.metric in MEANS else " (%)")
