"""Random numbers as a pure function of (seed, run, purpose, index, step)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.core.randomness import Draws, mix

MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15

SPLITMIX64_FROM_1234567 = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
"""The published first outputs for this seed."""


def splitmix64(state: int) -> int:
    """The output function in exact integers, written down from Steele, Lea & Flood (2014)."""
    state &= MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def signed(bits: int) -> int:
    return bits - 2**64 if bits >> 63 else bits


def draws(indices: list[int], steps: int | list[int] = 0, seed: int = 0, run: int = 0) -> Draws:
    step = torch.tensor(steps) if isinstance(steps, list) else torch.full((len(indices),), steps)
    return Draws(seed, torch.tensor(indices), step, run)


def test_mixing_a_counter_gives_the_published_sequence() -> None:
    states = torch.tensor([signed((1234567 + n * GAMMA) & MASK) for n in range(1, 6)])
    assert [bits & MASK for bits in mix(states).tolist()] == SPLITMIX64_FROM_1234567


@given(st.integers(0, MASK))
def test_mixing_agrees_with_exact_integers(state: int) -> None:
    assert mix(torch.tensor([signed(state)])).tolist() == [signed(splitmix64(state))]


@given(
    seed=st.integers(-(2**70), 2**70),
    run=st.integers(0, 100),
    index=st.integers(0, 2**40),
    step=st.integers(0, 10_000),
    purpose=st.text(max_size=8),
)
def test_a_number_is_the_documented_function_of_its_keys(
    seed: int, run: int, index: int, step: int, purpose: str
) -> None:
    name = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    key = (seed * 0x2545F4914F6CDD1D + run) & MASK ^ name
    for part in (index, step):
        key = splitmix64(key + (part + 1) * GAMMA)
    expected = [(splitmix64(key + n * GAMMA) >> 40) / 2**24 for n in (1, 2, 3)]
    assert draws([index], [step], seed, run).uniform(purpose, 3).tolist() == [expected]


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    numbers = draws(list(range(100))).uniform("noise", 2000).double().flatten().numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers, "uniform").pvalue > 0.01
    counts, _ = np.histogram(numbers, bins=256, range=(0, 1))
    assert stats.chisquare(counts).pvalue > 0.01


def test_uniform_numbers_have_as_many_bits_as_a_float_resolves() -> None:
    numbers = draws([0]).uniform("noise", 50_000).double() * 2**24
    assert torch.equal(numbers, numbers.round())
    assert 0.49 < (numbers.long() & 1).double().mean() < 0.51


def test_normal_numbers_are_standard_normal() -> None:
    numbers = draws(list(range(100))).normal("noise", 2000).double().flatten().numpy()
    assert np.isfinite(numbers).all()
    assert stats.kstest(numbers, "norm").pvalue > 0.01
    assert numbers.mean() == pytest.approx(0, abs=4 / np.sqrt(len(numbers)))
    assert numbers.var() == pytest.approx(1, abs=4 * np.sqrt(2 / len(numbers)))
    assert stats.kurtosis(numbers) == pytest.approx(0, abs=4 * np.sqrt(24 / len(numbers)))


N = 40_000

STREAMS: dict[str, Callable[[int], torch.Tensor]] = {
    "index": lambda i: draws([i]).uniform("noise", N),
    "step": lambda i: draws([0], steps=i).uniform("noise", N),
    "seed": lambda i: draws([0], seed=i).uniform("noise", N),
    "run": lambda i: draws([0], run=i).uniform("noise", N),
    "purpose": lambda i: draws([0]).uniform(f"noise/{i}", N),
    "element": lambda i: draws([0]).uniform("noise", N + 4)[:, i : N + i],
    "index, first element of each": lambda i: draws(list(range(i * N, (i + 1) * N))).uniform("noise", 1),
}


@pytest.mark.parametrize("key", STREAMS)
def test_numbers_under_neighbouring_keys_are_independent(key: str) -> None:
    streams = [STREAMS[key](i).flatten().double().numpy() for i in range(4)]
    for first, second in combinations(streams, 2):
        assert stats.pearsonr(first, second).pvalue > 1e-3
        joint, _, _ = np.histogram2d(first, second, bins=8, range=((0, 1), (0, 1)))
        assert stats.chisquare(joint.flatten()).pvalue > 1e-3


def test_seeds_and_runs_do_not_stand_in_for_each_other() -> None:
    numbers = {
        tuple(draws([index], step, seed, run).uniform("noise", 2).flatten().tolist())
        for index in range(4)
        for step in range(4)
        for seed in range(4)
        for run in range(4)
    }
    assert len(numbers) == 4**4


@given(st.permutations([5, 0, 17, 3, 900_000]), st.integers(1, 5))
def test_a_sample_draws_the_same_whichever_others_are_in_its_batch(order: list[int], size: int) -> None:
    alone = {index: draws([index]).normal("noise", 2, 3)[0] for index in order}
    together = draws(order[:size]).normal("noise", 2, 3)
    for index, row in zip(order[:size], together, strict=True):
        assert torch.equal(row, alone[index])


def test_selected_rows_draw_what_they_drew_among_all() -> None:
    everyone = draws([4, 8, 15, 16], [1, 2, 3, 4], seed=5, run=6)
    rows = torch.tensor([2, 0])
    assert torch.equal(everyone.select(rows).uniform("noise", 3), everyone.uniform("noise", 3)[rows])


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert torch.equal(draws([1]).uniform("noise", 9)[:, :4], draws([1]).uniform("noise", 4))


def test_the_shape_follows_the_sample_axis() -> None:
    assert draws([1, 2, 3]).uniform("noise", 3, 4, 5).shape == (3, 3, 4, 5)
    assert draws([1, 2, 3]).normal("noise").shape == (3,)


def test_no_generator_is_consumed() -> None:
    before = torch.random.get_rng_state()
    draws([1, 2]).normal("noise", 10)
    assert torch.equal(torch.random.get_rng_state(), before)
