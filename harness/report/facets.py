"""Facets: the words by which tables sort and filter cells, each with one meaning.

`model` is the judged model of a white-box table, or of one of clean images; a transfer table says `surrogate` or
`target` instead. `facts.KEY` is a free column of the suite file, of the surrogate in a transfer table and of the model
in the others. `norm` is the norm of the threat model; `model.norm`, `surrogate.norm` and `target.norm` are the detected
normalization layers. `attack.facts.KEY` is a free column of the attacks. `relation` is that of the target to the
surrogate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from harness.cells import Cells
from harness.core.errors import HarnessError, did_you_mean
from harness.report.words import CLEAN_RATES
from harness.spec import ClaimSpec, Suite, TableSpec

Mode = Literal["clean", "whitebox", "transfer"]
"""Which cells a table or claim is about."""


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
