"""Facets: the words by which tables sort and filter cells, each with one meaning.

`model` is the judged model of a white-box table, or of one of clean images; a transfer table says `surrogate` or
`target` instead. `facts.KEY` is a free column of the suite file, of the surrogate in a transfer table and of the model
in the others. `norm` is the norm of the threat model; `model.norm`, `surrogate.norm` and `target.norm` are the detected
normalization layers. `attack.facts.KEY` is a free column of the attacks. `relation` is that of the target to the
surrogate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import takewhile
from typing import Literal, NamedTuple

from harness.cells import Cells
from harness.core.errors import HarnessError, did_you_mean
from harness.report.relation import MEANS_OVER
from harness.report.words import CLEAN_RATES, MEANS, METRIC_WORDS
from harness.spec import ClaimSpec, Suite, TableSpec

Mode = Literal["clean", "whitebox", "transfer"]
"""Which cells a table or claim is about."""

MEAN, SPREAD, AGREEMENT = "mean", "spread", "agreement"

SUMMARIES = {
    MEAN: "Mean",
    "mean.black-box": "Mean, black-box",
    "mean.white-box": "Mean, white-box",
    "mean.same-architecture": "Mean, same architecture",
    "mean.other-architecture": "Mean, other architectures",
    SPREAD: "Spread",
    AGREEMENT: "Agreement",
}
"""The last entries of columns, which sum up the row, with their headers."""

AVERAGED = (
    "attack", "threat", "mode", "model", "model.norm", "surrogate", "surrogate.norm", "target", "target.norm",
)  # fmt: skip
"""Facets over which means can be taken on purpose; over seeds and repeated trainings they always are."""

FACTS, ATTACK_FACTS = "facts.", "attack.facts."
"""How the free columns of models and of attacks begin."""

HEADERS = {
    "model": "Model", "surrogate": "Surrogate", "target": "Target", "relation": "Relation", "attack": "Attack",
    "threat": "Threat model", "epsilon": "ε", "norm": "Norm", "dataset": "Data", "seed": "Seed", "mode": "Mode",
    "model.norm": "Normalization", "surrogate.norm": "Surrogate norm.", "target.norm": "Target norm.",
}  # fmt: skip
"""How facets are called in tables, unless a suite says otherwise."""

OF_ATTACKS = frozenset({"attack", "threat", "epsilon", "norm", "seed", "mode", "relation"})
"""Facets that say nothing about a clean cell: a clean accuracy stands beside all their values."""


OF_CLEAN = ("model", "model.norm", "dataset")
"""Facets that say something about a clean cell."""


def about_attacks(facet: str, mode: Mode | None) -> bool:
    """Whether a facet describes the attack, surrogate included, and not the judged model or the data."""
    if facet in OF_ATTACKS or facet.startswith(ATTACK_FACTS):
        return True
    return mode in (None, "transfer") and facet.startswith(("surrogate", FACTS))


def header_of(facet: str) -> str:
    """How a facet is called unless a suite says otherwise; a free column by its key."""
    return HEADERS.get(facet, facet.removeprefix(ATTACK_FACTS).removeprefix(FACTS))


def free_facets(suite: Suite | Cells) -> list[str]:
    """The facets that a suite's models and attacks bring with their facts."""
    of_models = [FACTS + key for model in suite.models for key in model.facts]
    of_attacks = [ATTACK_FACTS + key for attack in suite.attacks for key in attack.facts]
    return list(dict.fromkeys(of_models + of_attacks))


def known_facets(mode: Mode | None, free: Iterable[str]) -> list[str]:
    """Every facet that a table of a mode may use; `free` are those that the suite brings itself."""
    if mode == "clean":
        return [*OF_CLEAN, *(name for name in free if name.startswith(FACTS))]
    only_whitebox = () if mode == "whitebox" else ("model", "model.norm")
    return [*(name for name in HEADERS if name not in only_whitebox), *free]


def mode_of(asked: TableSpec | ClaimSpec, facets: Collection[str], sections: Collection[str]) -> Mode | None:
    """Which cells a table or claim is about; None for all attacked ones, when the mode itself is among its facets.

    Raises:
        HarnessError: when the suite lacks the section, or a key makes no sense for clean images.
    """
    mode, value = asked.mode, asked.value
    if value in CLEAN_RATES:
        for key, given in (("mode", mode), ("denominator", asked.denominator not in (None, "all"))):
            if given:
                raise HarnessError(
                    f"{key} means nothing for clean accuracy, which is of all images.\n     leave it out"
                )
        return "clean"
    if mode and sections and mode not in sections:
        raise HarnessError(f'mode = "{mode}", but the suite has no section [{mode}].\n     add the section')
    if mode or "mode" in facets:
        return mode
    if len(set(sections)) == 1:
        return "whitebox" if "whitebox" in sections else "transfer"
    return "transfer" if value == "attack_success_rate" else "whitebox"


def sections_of(suite: Suite) -> list[str]:
    """The modes in which a suite attacks."""
    return [name for name in ("whitebox", "transfer") if getattr(suite, name) is not None]


class Axes(NamedTuple):
    """What stands where in a table."""

    rows: tuple[str, ...]
    """Facets that make rows."""
    columns: tuple[str, ...]
    """Facets that make columns, outermost first."""
    summaries: tuple[str, ...]
    """Which of SUMMARIES follow as last columns."""


def axes_of(table: TableSpec, mode: Mode | None, free: Iterable[str]) -> Axes:
    """The facets that make rows, those that make columns, and what sums up the row; `free` as in `known_facets`.

    Raises:
        HarnessError: for an unknown or repeated facet, an empty axis, or a summary that cannot be.
    """
    summaries = tuple(takewhile(SUMMARIES.__contains__, reversed(table.columns)))[::-1]
    rows, columns = tuple(table.rows), tuple(table.columns[: len(table.columns) - len(summaries)])
    axes = rows + columns
    for name in SUMMARIES:
        if name in axes:
            raise HarnessError(f'"{name}" can only stand at the end of columns')
    if not rows or not columns:
        raise HarnessError('rows and columns each need a facet, such as rows = ["attack"]')
    known = known_facets(mode, free)
    for facet in (*axes, *table.where):
        require(facet, known, also=SUMMARIES if facet in columns else ())
    for name in (*axes, *summaries):
        if (axes + summaries).count(name) > 1:
            raise HarnessError(f'facet "{name}" is named twice in rows and columns')
    check_average(table.average, axes, known)
    if mode in ("clean", "whitebox") and (relations := [name for name in summaries if name in MEANS_OVER]):
        raise HarnessError(f'"{relations[0]}" needs a transfer table: here no image comes from another model')
    if table.clean and not any(about_attacks(facet, mode) for facet in axes):
        raise HarnessError('clean = true needs a place for it.\n     add "attack" to rows or columns')
    if AGREEMENT in summaries and "dataset" in columns:
        raise HarnessError(
            '"agreement" compares image by image, which data sets cannot be.\n     move "dataset" to rows'
        )
    return Axes(rows, columns, summaries)


def among_of(table: TableSpec, axes: Axes) -> tuple[str, ...]:
    """The facets in which the entries of a group differ, of which the best is marked; none where it is not.

    Raises:
        HarnessError: for a facet that the table does not show, or entries that no paired test compares.
    """
    if table.best is None:
        return ()
    if table.value in MEANS:
        raise HarnessError(
            f"best: paired tests compare rates, and {METRIC_WORDS[table.value]} is none.\n"
            "     leave out best and among, or show a rate"
        )
    among, shown = tuple(table.among) or axes.rows[-1:], axes.rows + axes.columns
    for facet in among:
        if facet not in shown:
            raise HarnessError(f'among: "{facet}" makes no rows or columns.\n     {did_you_mean(facet, shown)}')
    if "dataset" in among:
        raise HarnessError(
            "among: the best is found image by image, and data sets share no images.\n"
            '     name other facets of rows or columns, such as among = ["model"]'
        )
    return among


def check_table(table: TableSpec, suite: Suite) -> None:
    """Raise HarnessError for what is wrong with a table, as far as the suite file alone can tell."""
    mode = mode_of(table, (*table.rows, *table.columns), sections_of(suite))
    among_of(table, axes_of(table, mode, free_facets(suite)))


def permitted(average: Iterable[str]) -> set[str]:
    """What cells of one place may differ in when means over these facets are taken: a model brings its norm."""
    sides = {"model": ("surrogate", "target"), "model.norm": ("surrogate.norm", "target.norm")}
    named = {side for facet in average for side in sides.get(facet, (facet,))}
    return named | {f"{side}.norm" for side in named & {"surrogate", "target"}}


def check_average(average: Iterable[str], elsewhere: Collection[str], known: Collection[str]) -> None:
    """Raise HarnessError for a facet over which no mean can be taken, or that tells cells apart elsewhere."""
    for facet in average:
        if facet == "dataset":
            raise HarnessError("average: means are taken image by image, and data sets share no images")
        if facet in elsewhere:
            raise HarnessError(f'average: "{facet}" cannot both tell apart and be averaged over')
        if facet not in AVERAGED or facet not in known:
            possible = [name for name in AVERAGED if name in known]
            raise HarnessError(f'average: no mean is taken over "{facet}".\n     {did_you_mean(facet, possible)}')


def require(facet: str, known: list[str], also: Iterable[str] = ()) -> None:
    """Raise HarnessError for a facet that is not known; `also` are further words to suggest."""
    if facet in known:
        return
    if facet in ("model", "model.norm"):
        fixes = (facet.replace("model", "surrogate"), facet.replace("model", "target"))
        raise HarnessError(f'"{facet}" means nothing in a transfer table.\n     write {" or ".join(fixes)}')
    if facet in HEADERS:
        raise HarnessError(f'"{facet}" means nothing for clean accuracy.\n     write model, or leave it out')
    raise HarnessError(f'facet "{facet}" is not known.\n     {did_you_mean(facet, [*known, *also])}')
