"""Warning signs that an evaluation may be unreliable: what each means, and those that show in outcomes.

Flags of a model are found on a few clean images, by `harness.models.examination`, and stand in the record of its clean
cell. Flags of a cell are counted here, over all its samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import pandas as pd

from harness.metrics.estimate import wilson


class Flag(NamedTuple):
    """A warning sign, in words that fit behind its name."""

    meaning: str
    """What was seen."""
    advice: str
    """What that does to the numbers, and what to do about it."""
    shown_by: Literal["model", "predictions", "surrogate", "target"] = "model"
    """The model itself when it is examined, or its clean predictions; or the surrogate or the target of a cell."""


FLAGS = {
    "nonfinite_logits": Flag(
        "logits are NaN or infinite",
        "they count as wrong answers: find the operation that makes them",
        "target",
    ),
    "near_chance": Flag(
        "clean predictions are hardly better than guessing",
        "labels are numbered otherwise, or standardization, channels or weights are not the model's: robust accuracy "
        "below says nothing",
        "predictions",
    ),
    "probability_outputs": Flag(
        "the model returns probabilities, not logits",
        "attacks on its loss are weakened: return what goes into the softmax",
    ),
    "nondeterministic": Flag(
        "logits of the same images differ from pass to pass",
        "attacks that do not average over the randomness overstate robustness, and numbers do not repeat: "
        'evaluate with it fixed, or averaged out as by autoattack with ensemble = "rand"',
    ),
    "dynamic": Flag(
        "the model changes its state when it predicts, and with it its logits",
        "an answer depends on what was asked before: freeze the state, or adapt the attack to it",
    ),
    "batch_dependent": Flag(
        "logits of an image depend on the other images of its batch",
        "numbers hold for these batches only: use the statistics of the training data",
    ),
    "hidden_gradient": Flag(
        "no gradient reaches the image",
        "gradient attacks find nothing there: replace the step that blocks it by a differentiable one, "
        "or use query and transfer attacks",
    ),
    "clipped_gradient": Flag(
        "no gradient reaches black and white pixels, as behind a clamp to [0, 1]",
        "gradient attacks leave these pixels as they are and overstate robustness: take the clamp out, all images are "
        "in [0, 1]",
    ),
    "nonfinite_gradient": Flag(
        "gradients are NaN or infinite where logits are not",
        "attacks see zeros in their place: find the operation, such as a root or a norm at zero",
    ),
    "saturated_loss": Flag(
        "the cross-entropy is so small that its gradient vanishes in float32, while that of the margin does not",
        "attacks on cross-entropy stand still there: use one on the margin, or scale the logits down",
    ),
    "zero_gradient": Flag(
        "a gradient of the attack was exactly zero",
        "the attack stood still and may overstate robustness: use another loss, or a query attack",
        "surrogate",
    ),
    "square_below_gradients": Flag(
        "Square, which uses no gradient, fooled the model after the attacks before it had failed",
        "gradients seem to be masked and robustness overstated: use more queries, or an adaptive attack",
        "target",
    ),
}
"""All flags, in the order in which reports show them."""

SQUARE = "square"
"""The member of composed attacks that uses no gradient."""

SQUARE_SHARE = 0.002
"""Share of all samples that Square alone may fool before that is a sign of masked gradients; AutoAttack's own."""


CHANCE_SHARE = 0.1
"""Of the way from guessing to perfect: up to there a clean accuracy is near chance."""


def near_chance(outcomes: pd.DataFrame, classes: int) -> dict[str, int]:
    """The flag of a model that hardly does better than guessing, with the number of clean images it gets wrong.

    Its accuracy must be that low with confidence: the upper end of its interval counts.

    Args:
        outcomes: the clean predictions.
        classes: among which the model chooses.
    """
    right, chance = int((outcomes["clean_prediction"] == outcomes["label"]).sum()), 1 / classes
    low = wilson(right, len(outcomes)).high <= chance + CHANCE_SHARE * (1 - chance)
    return {"near_chance": len(outcomes) - right} if low else {}


def flags_of(outcomes: pd.DataFrame, members: Sequence[str] = ()) -> dict[str, int]:
    """The flags that a cell's outcomes raise, with the number of samples that show each.

    Args:
        outcomes: all samples of the cell.
        members: names of the members of a composed white-box attack, by the numbers in the column `member`.
    """
    not_finite = (outcomes["adversarial_prediction"] < 0) | (outcomes["clean_prediction"] < 0)
    square = fooled_by_square_alone(outcomes, members)
    counts = {
        "nonfinite_logits": int(not_finite.sum()),
        "zero_gradient": int(outcomes["zero_gradient"].sum()),
        "square_below_gradients": square if square > SQUARE_SHARE * len(outcomes) else 0,
    }
    return {flag: count for flag, count in counts.items() if count}


def fooled_by_square_alone(outcomes: pd.DataFrame, members: Sequence[str]) -> int:
    """Samples that Square fooled after all members of a composed attack before it had failed; 0 if it comes first."""
    number = list(members).index(SQUARE) if SQUARE in members else 0
    return int((outcomes["success"] & (outcomes["member"] == number)).sum()) if number else 0
