"""Factories: reproducible initialization, and arguments that fail in words."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from harness.core.errors import HarnessError
from harness.models.construction import construct, known_arguments, seeded


def linear(inputs: int = 2, outputs: int = 3) -> nn.Module:
    return nn.Linear(inputs, outputs)


class Scaled(nn.Module):
    def __init__(self, required: int, factor: float = 1.0) -> None:
        super().__init__()
        if factor < 0:
            raise ValueError("factor must not be negative")


def passing_on(**keywords: Any) -> nn.Module:
    return Scaled(1, **keywords)


def test_a_seed_gives_the_numbers_that_it_gives_globally() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = torch.rand(3)
    before = torch.get_rng_state()
    with seeded(5):
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_seed_builds_the_same_network_and_another_seed_another() -> None:
    first, second, third = (construct(linear, {}, "linear", seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(first["weight"], second["weight"])
    assert not torch.equal(first["weight"], third["weight"])


def test_known_arguments_reach_through_to_the_class_that_is_built() -> None:
    assert known_arguments(linear) == ["inputs", "outputs"]
    assert known_arguments(partial(linear, inputs=2)) == ["outputs"]
    assert known_arguments(passing_on) == ["factor"]


@pytest.mark.parametrize(
    ("factory", "arguments", "message"),
    [
        (linear, {"input": 2}, "known: inputs, outputs"),
        (passing_on, {"factr": 2}, "known: factor"),
        (passing_on, {"factor": -1.0}, "factor must not be negative"),
        (linear, {"inputs": "two"}, "given: inputs = 'two'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(factory: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        construct(factory, arguments, "model")


def test_a_factory_that_fails_without_arguments_is_our_defect_and_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="negative"):
        construct(partial(Scaled, 1, -1.0), {}, "model")
