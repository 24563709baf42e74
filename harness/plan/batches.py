"""Mistakes about models whose predictions depend on the batch: their batches are part of the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.attacks.whole_batches import keeps_batches_whole
from harness.plan.mistakes import Mistakes
from harness.plan.models import PlannedModel
from harness.plan.sections import Section, taking_part
from harness.spec import Reading


def check_batches(
    reading: Reading, models: Mapping[str, PlannedModel], sections: Sequence[Section], mistakes: Mistakes
) -> None:
    """Note batches that are not fixed, and attacks that do not keep them whole."""
    dependent = [name for name, model in models.items() if model.entry.description.batch_dependent]
    if reading.suite.batch_size == "auto" and (named := [n for n in taking_part(sections, models) if n in dependent]):
        mistakes.add(
            "batch_size",
            f'predictions of {", ".join(named)} depend on the batch: write a number, not "auto" '
            "(Awais et al. 2020 have 128)",
        )
    for section in sections:
        surrogates = [name for name in section.surrogates if name in dependent]
        for attack in dict.fromkeys(
            crafting.label for crafting in section.craftings if not keeps_batches_whole(crafting.attack.attack)
        ):
            if surrogates:
                mistakes.add(
                    f"{section.mode}.attacks",
                    f'"{attack}" attacks every sample by itself, and predictions of {", ".join(surrogates)} depend on '
                    "the whole batch.\n     choose attacks that keep batches whole (the FGSM family, PGD, APGD, "
                    "CW with abort_early = false), or other models",
                )
