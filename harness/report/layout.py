"""What a table shows once every default of its `[[tables]]` entry is filled in, and the tables of a bare suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.cells import Cells
from harness.core.errors import HarnessError, did_you_mean
from harness.report.axes import MEAN, SUMMARIES, among_of, axes_of
from harness.report.facets import Mode, about_attacks, free_facets, header_of, mode_of
from harness.report.selection import Filters, filters_of
from harness.report.words import title_of
from harness.spec import Best, Denominator, TableSpec, Value

CLEAN = "clean"
"""How `headers` refers to the column or row of clean accuracies."""


@dataclass(frozen=True)
class Layout:
    """A table as asked for, nothing left open."""

    name: str
    """File name, without suffix."""
    title: str
    """Heading and caption."""
    rows: tuple[str, ...]
    """Facets that make rows."""
    columns: tuple[str, ...]
    """Facets that make columns, outermost first."""
    summaries: tuple[str, ...]
    """What sums up the row in the last columns: names of SUMMARIES."""
    value: Value
    """What an entry shows."""
    denominator: Denominator
    """Which samples a rate counts."""
    mode: Mode | None
    """Which cells; None for all attacked ones."""
    where: Filters
    """Further filters: facet to accepted values."""
    average: tuple[str, ...]
    """Facets over which an entry takes the mean."""
    clean: bool
    """Whether clean accuracy stands beside the attacks."""
    headers: Mapping[str, str]
    """How the suite wants headers printed: facet or text to text."""
    best: Best | None
    """Which entry of a group is marked; None for none."""
    among: tuple[str, ...]
    """Facets in which the entries of a group differ; empty where none is marked."""

    @property
    def place(self) -> str:
        """How errors refer to the table."""
        return _place(self.name)

    def header(self, text: str) -> str:
        """How a header text is printed."""
        return self.headers.get(text, text)

    def facet_header(self, facet: str) -> str:
        """How a facet is called."""
        return self.headers.get(facet, header_of(facet))


def resolve(table: TableSpec, cells: Cells, number: int = 1) -> Layout:
    """Fill in a table's defaults, as `TableSpec` documents them.

    Raises:
        HarnessError: for a table that cannot be, such as one with an unknown facet.
    """
    name = name_of(table, number)
    try:
        sections = {cell.mode for cell in cells.cells} - {"clean"}
        mode = mode_of(table, (*table.rows, *table.columns), sections)
        rows, columns, summaries = axes = axes_of(table, mode, free_facets(cells))
        among = among_of(table, axes)
    except HarnessError as error:
        raise HarnessError(f"{_place(name)}: {error}") from None
    shows_attacks = any(about_attacks(facet, mode) for facet in rows + columns)
    clean = mode == "whitebox" and table.value == "robust_accuracy" if table.clean is None else table.clean
    return Layout(
        name=name,
        title=table.title or title_of(table.value, mode, cells),
        rows=rows,
        columns=columns,
        summaries=summaries,
        value=table.value,
        denominator=table.denominator or default_denominator(table.value),
        mode=mode,
        where=filters_of(table.where),
        average=tuple(table.average),
        clean=clean and shows_attacks,
        headers=dict(table.headers),
        best=table.best,
        among=among,
    )


def name_of(table: TableSpec, number: int) -> str:
    """What a table's files are called."""
    return table.name or (table.reference.replace("/", "-") if table.reference else f"table-{number}")


def default_denominator(value: str) -> Denominator:
    """Which samples a rate counts unless the suite says otherwise."""
    return "own-correct" if value == "attack_success_rate" else "all"


def default_tables(cells: Cells) -> list[TableSpec]:
    """One table per section: white-box models by attacks, transfer surrogates by targets with the mean of several.

    A suite that only evaluates has one of clean accuracies, models by data sets.
    """
    return [*_default_whitebox(cells), *_default_transfer(cells)] or [_default_clean(cells)]


def check_headers(layout: Layout, texts: Iterator[str]) -> None:
    """Raise HarnessError when a key of `headers` is neither a facet of the table nor one of its header texts."""
    known = {*layout.rows, *layout.columns, *texts, *SUMMARIES, CLEAN}
    for key in layout.headers:
        if key not in known:
            problem = f'headers name "{key}", which the table does not print'
            raise HarnessError(f"{layout.place}: {problem}.\n     {did_you_mean(key, known)}")


def _default_whitebox(cells: Cells) -> Iterator[TableSpec]:
    if any(cell.mode == "whitebox" for cell in cells.cells):
        columns = ["attack", *_if_several(cells, "threat", "whitebox")]
        rows = [*_if_several(cells, "dataset"), "model", *_if_shared(cells, "model")]
        yield TableSpec(name="whitebox", rows=rows, columns=columns, value="robust_accuracy", mode="whitebox")


def _default_transfer(cells: Cells) -> Iterator[TableSpec]:
    if any(cell.mode == "transfer" for cell in cells.cells):
        several = [*_if_several(cells, "dataset", "transfer"), *_if_several(cells, "threat", "transfer")]
        rows = [*several, "attack", "surrogate", *_if_shared(cells, "surrogate")]
        columns = ["target", *_if_shared(cells, "target")]
        models = {cell.target: cells.model(cell.target) for cell in cells.cells if cell.mode == "transfer"}
        if len({(model.label, model.description.norm) for model in models.values()}) > 1:
            columns.append(MEAN)
        yield TableSpec(name="transfer", rows=rows, columns=columns, value="attack_success_rate", mode="transfer")


def _default_clean(cells: Cells) -> TableSpec:
    rows = ["model", *_if_shared(cells, "model")]
    return TableSpec(name="clean", rows=rows, columns=["dataset"], value="clean_accuracy")


def _if_several(cells: Cells, facet: str, mode: str | None = None) -> list[str]:
    """The facet, if it tells apart the cells of a mode."""
    values = {getattr(cell, facet) for cell in cells.cells if mode is None or cell.mode == mode}
    return [facet] if len(values) > 1 else []


def _if_shared(cells: Cells, side: str) -> list[str]:
    """The facet of normalization layers, if it tells apart models with one label."""
    names = {cell.surrogate if side == "surrogate" else cell.target for cell in cells.cells}
    models = [model for model in cells.models if model.name in names]
    labels = {model.label for model in models}
    return [f"{side}.norm"] if len({(m.label, m.description.norm) for m in models}) > len(labels) else []


def _place(name: str) -> str:
    return f'table "{name}"'
