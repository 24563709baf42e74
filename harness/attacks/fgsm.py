"""FGSM, its iterated family and PGD, by composition of parts.

The family's names spell their parts: `mi-di-ti-fgsm` is momentum, input diversity and smoothed gradients. Each part
brings its own parameters, and the order in which the loop applies them is that of the papers: inputs are copied (SI)
or mixed and copied (admix), and diversified (DI); gradients are tuned (VT), smoothed (TI) and then accumulated (MI or
NI). Variance tuning and admix come with momentum, which they are made for, and not together.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from itertools import product
from typing import Annotated, Any, get_type_hints

from pydantic import Field

from harness.attacks import ATTACKS, PRESETS, Attack
from harness.attacks.admix import Admix
from harness.attacks.gradient_transforms import Momentum, NesterovMomentum, Smooth
from harness.attacks.input_transforms import DiverseInput, ScaleCopies
from harness.attacks.loop import GradientAttack
from harness.attacks.variance import VarianceTuning
from harness.core.errors import HarnessError
from harness.core.losses import LossName
from harness.core.numbers import Length
from harness.core.threat import Norm

Steps = Annotated[int, Field(ge=1)]


@ATTACKS.register("fgsm")
def fgsm(loss: LossName = "cross-entropy") -> Attack:
    """FGSM: one step of length epsilon (Goodfellow et al. 2015)."""
    return GradientAttack(steps=1, step_size="eps", loss=loss)


@ATTACKS.register("bim")
def bim(steps: Steps = 10, step_size: Length = "eps/steps", loss: LossName = "cross-entropy") -> Attack:
    """BIM: FGSM in small steps from the image itself (Kurakin et al. 2017); another name of i-fgsm."""
    return GradientAttack(steps, step_size, loss)


@ATTACKS.register("pgd")
def pgd(
    steps: Steps = 20,
    step_size: Length = "2.5 eps/steps",
    loss: LossName = "cross-entropy",
    random_start: bool = True,
    restarts: Steps = 1,
    eot: Steps = 1,
) -> Attack:
    """PGD: projected gradient steps from a random start (Madry et al. 2018).

    With `eot`, each step follows the mean gradient of that many passes, and the mean of their logits decides whether
    the model is fooled, for models that answer at random (Athalye et al. 2018). The model draws from torch's global
    generator, so that the results of such a model depend on the batch.
    """
    if restarts > 1 and not random_start:
        raise HarnessError(
            f"restarts: without a random start all {restarts} runs are the same; set random_start = true"
        )
    return GradientAttack(steps, step_size, loss, random_start=random_start, runs=restarts, eot=eot)


@ATTACKS.register("cw-pgd")
def cw_pgd(
    steps: Steps = 20,
    step_size: Length = "2.5 eps/steps",
    random_start: bool = True,
    restarts: Steps = 1,
    eot: Steps = 1,
) -> Attack:
    """PGD on the margin loss of Carlini and Wagner (2017)."""
    return pgd(steps, step_size, "margin", random_start, restarts, eot)


INPUT_PARTS = {"si": ScaleCopies, "admix": Admix, "di": DiverseInput}
"""In the order in which they are applied."""

GRADIENT_PARTS = {"ti": Smooth, "mi": Momentum, "ni": NesterovMomentum}
"""In the order in which they are applied."""

PARTS = {**INPUT_PARTS, "vt": VarianceTuning, **GRADIENT_PARTS}

MOMENTA = {"mi", "ni"}

SUMMARIES = {
    "vt": "variance tuning (Wang & He 2021)",
    "mi": "momentum (Dong et al. 2018)",
    "ni": "Nesterov momentum (Lin et al. 2020)",
    "di": "diverse inputs (Xie et al. 2019)",
    "ti": "translation-invariant gradients (Dong et al. 2019)",
    "si": "scaled copies (Lin et al. 2020)",
    "admix": "admixed images (Wang et al. 2021)",
}


def compose(letters: tuple[str, ...]) -> Callable[..., Attack]:
    """A factory of I-FGSM with the named parts, whose parameters are the loop's and the parts' own."""
    parts = {key: part for key, part in PARTS.items() if key in letters}
    own = {key: [field.name for field in fields(part)] for key, part in parts.items()}
    loop = list(inspect.signature(bim).parameters.values())
    defaults = {parameter.name: parameter.default for parameter in loop}
    norms: frozenset[Norm] = frozenset({"linf"} if "vt" in letters else {"linf", "l2"})

    def factory(**arguments: Any) -> Attack:
        made = {
            key: part(**{name: arguments.pop(name) for name in own[key] if name in arguments})
            for key, part in parts.items()
        }
        return GradientAttack(
            **{**defaults, **arguments},
            inputs=tuple(part for key, part in made.items() if key in INPUT_PARTS),
            tuning=made.get("vt"),
            gradients=tuple(part for key, part in made.items() if key in GRADIENT_PARTS),
            norms=norms,
        )

    keyword = inspect.Parameter.KEYWORD_ONLY
    hints = get_type_hints(bim, include_extras=True)
    parameters = [p.replace(kind=keyword, annotation=hints[p.name]) for p in loop]
    for part in parts.values():
        hints = get_type_hints(part, include_extras=True)
        parameters += [
            inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(part)
        ]
    factory.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    added = ", ".join(SUMMARIES[letter] for letter in letters)
    factory.__doc__ = "I-FGSM: FGSM in small steps (Kurakin et al. 2017)" + (f" with {added}." if added else ".")
    return factory


def family() -> dict[str, tuple[str, ...]]:
    """Every member's name and parts: i-fgsm, mi-fgsm, ..., vt-ni-di-ti-si-fgsm."""
    members = {}
    for choice in product((None, "vt"), (None, "mi", "ni"), (None, "di"), (None, "ti"), (None, "si", "admix")):
        letters = tuple(letter for letter in choice if letter)
        needing = {"vt", "admix"} & set(letters)
        if not needing or (len(needing) == 1 and MOMENTA & set(letters)):
            members["-".join([*(letters or ("i",)), "fgsm"])] = letters
    return members


# Where the field disagrees. The authors' code for 299-pixel images: sizes 299 to 329 on a canvas of 330, nearest,
# mid-grey, shown to the model at 330. torchattacks 3.5: shrunk, not enlarged. TransferAttack: enlarged, then resized
# back.
_DIVERSE = {
    "paper": {"smallest": 1.0, "largest": 330 / 299, "interpolation": "nearest", "fill": 0.5, "restore": False},
    "torchattacks": {"smallest": 0.9, "largest": 1.0, "interpolation": "bilinear", "fill": 0.0, "restore": True},
    "transferattack": {"smallest": 1.0, "largest": 1.1, "interpolation": "bilinear", "fill": 0.0, "restore": True},
}
_LENGTHS = {
    "paper": {"steps": 10, "step_size": "eps/steps"},
    "torchattacks": {"steps": 10, "step_size": "2/255"},
    "transferattack": {"steps": 10, "step_size": "eps/steps"},
}


# Where the authors of variance tuning and admix set other parts differently from these parts' own papers. Two things
# stay ours: they resize enlarged images back by nearest neighbour, and TransferAttack takes the neighbours of vt-ni
# around the point ahead, not around the sample as they do.
_WANG = {"kernel_size": 7, "largest": 331 / 299, "restore": True}


def presets_of(letters: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The named argument sets of a family member: those of its parts together."""
    presets: dict[str, dict[str, Any]] = {}
    for preset, lengths in _LENGTHS.items():
        presets[preset] = dict(lengths)
        if "di" in letters:
            presets[preset] |= {"probability": 0.5, **_DIVERSE[preset]}
        if "ti" in letters:
            presets[preset] |= {"kernel_size": 15, "kernel": "gaussian", "spread": 3.0}
        if MOMENTA & set(letters):
            presets[preset] |= {"decay": 1.0}
        if "admix" in letters:
            presets[preset] |= {"portion": 0.2, "mixtures": 3, "scales": 5}
        if "vt" in letters:
            presets[preset] |= {"neighbours": 5 if preset == "torchattacks" else 20, "beta": 1.5}
    if {"vt", "admix"} & set(letters):
        presets["paper"] |= {key: value for key, value in _WANG.items() if key in presets["paper"]}
    elif "di" in letters:
        presets["paper"] |= {"steps": 20, "step_size": "1/255"}
    if "admix" in letters:
        del presets["torchattacks"]
    return presets


_PAPERS_NAMES = {"vmi-fgsm": ("vt", "mi"), "vni-fgsm": ("vt", "ni")}

for _name, _letters in (family() | _PAPERS_NAMES).items():
    ATTACKS.add(_name, compose(_letters))
    PRESETS[_name] = presets_of(_letters)
