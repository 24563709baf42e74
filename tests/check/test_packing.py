from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.check.packing import pack_indices, pack_verdicts, unpack_indices, unpack_verdicts

# Other work on the machine says nothing about the code.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(st.lists(st.booleans(), max_size=200))
def test_verdicts_come_back_as_they_were(verdicts: list[bool]) -> None:
    assert unpack_verdicts(pack_verdicts(verdicts), len(verdicts)).tolist() == verdicts


@unhurried
@given(st.sets(st.integers(0, 10**6)))
def test_indices_come_back_as_they_were(indices: set[int]) -> None:
    assert unpack_indices(pack_indices(sorted(indices)), len(indices)).tolist() == sorted(indices)


def test_verdicts_are_bits_the_first_one_highest() -> None:
    assert (
        pack_verdicts([True, False, False, False, False, False, True, True, True])
        == base64.b64encode(bytes([0b1000_0011, 0b1000_0000])).decode()
    )
    assert len(pack_verdicts(np.ones(1000))) == 168


def test_indices_are_ranges() -> None:
    assert pack_indices([0, 1, 2, 3, 4, 7, 9, 10]) == "0-4,7,9-10"
    assert pack_indices([]) == ""
    assert unpack_indices("", 0).tolist() == []


@pytest.mark.parametrize("indices", [[2, 1], [1, 1], [-1, 0]])
def test_indices_that_do_not_ascend_are_not_packed(indices: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        pack_indices(indices)


@pytest.mark.parametrize(
    ("text", "n"),
    [("gA==", 9), ("gA==", 0), ("gIA=", 8), ("/w==", 4), ("§§§§", 8), ("g", 1), ("gA == ", 8)],
    ids=["too few", "too many", "a byte too many", "bits behind the last", "no base64", "half a byte", "spaces"],
)
def test_damaged_verdicts_are_told(text: str, n: int) -> None:
    with pytest.raises(ValueError, match="the verdicts are not"):
        unpack_verdicts(text, n)


@pytest.mark.parametrize(
    ("text", "n"),
    [("0-4", 4), ("0-4,", 5), ("4-0", 5), ("3,3", 2), ("0-4,2", 6), ("-1", 1), ("a", 1), ("0-99999999999999999", 5)],
)
def test_damaged_indices_are_told_before_they_are_made(text: str, n: int) -> None:
    with pytest.raises(ValueError, match="the indices"):
        unpack_indices(text, n)
