"""Recipes in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from harness.models.card import Card
from harness.models.recipe_words import recipe_in_words

ATTACK = {"norm": "linf", "epsilon": "8/255"}


@pytest.mark.parametrize(
    ("recipe", "start", "words"),
    [
        ({"epochs": 20}, None, "standard, 20 epochs"),
        ({"epochs": 1, "optimizer": "adam"}, None, "standard, adam, 1 epoch"),
        ({"adversarial": ATTACK}, None, "adversarial L∞ 8/255, 2 epochs"),
        ({"adversarial": {**ATTACK, "share": 0.5}}, None, "adversarial L∞ 8/255 (50%), 2 epochs"),
        ({"gradient_similarity": {"weight": 0.5}}, None, "LIGS x 0.5, 2 epochs"),
        ({}, "zoo:other", "all of other, 2 epochs"),
        ({"changes": {"parameters": ["norm"]}}, None, "BN parameters only, 2 epochs"),
        (
            {"changes": {"parameters": ["norm", "logits"], "statistics": "frozen"}, "adversarial": ATTACK},
            "zoo:other",
            "BN parameters + logits with frozen statistics of other, adversarial L∞ 8/255, 2 epochs",
        ),
        ({"changes": {"parameters": [], "statistics": "reset"}}, "zoo:other", "BN reset statistics of other, 2 epochs"),
        ({"changes": {"parameters": []}}, "timm:other", "BN statistics of timm:other, 2 epochs"),
        ({"changes": {"statistics": "frozen"}}, "zoo:other", "all but statistics of other, 2 epochs"),
    ],
)
def test_a_recipe_is_told_by_what_is_special_about_it(recipe: dict[str, Any], start: str | None, words: str) -> None:
    card = Card.model_validate(
        {
            "summary": "s",
            "architecture": {"network": "vgg6"},
            "train_data": {"id": "digits"},
            "test_data": {"id": "digits"},
            "recipe": {"epochs": 2, "learning_rate": 0.1, **recipe},
            "start": start,
        }
    )
    assert recipe_in_words(card) == words
