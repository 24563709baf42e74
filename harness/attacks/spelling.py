"""Names of the FGSM family that are not: which rule of its spelling is broken, or in which order the parts come."""

from __future__ import annotations

from harness.attacks.fgsm import MOMENTA, PARTS, family

TOGETHER_NEVER = {
    ("mi", "ni"): "mi and ni are two kinds of momentum: name one of them",
    ("si", "admix"): "admix makes scaled copies itself: leave out si",
    ("vt", "admix"): "vt and admix do not go together: name one of them",
}
"""Parts that exclude each other, and what to do about it."""


def misspelling(name: str) -> str | None:
    """What is wrong with a name made of the family's parts that is not one of the family's; None for other names."""
    *letters, end = name.split("-")
    if end != "fgsm" or not letters or not PARTS.keys() >= set(letters) or name in family():
        return None
    for pair, advice in TOGETHER_NEVER.items():
        if set(pair) <= set(letters):
            return advice
    for needing in ("vt", "admix"):
        if needing in letters and not MOMENTA & set(letters):
            return f"{needing} is made for momentum: add mi or ni"
    spelt = next(known for known, parts in family().items() if set(parts) == set(letters))
    return f"write it as {spelt}"
