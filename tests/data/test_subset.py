"""Which images a suite uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import HarnessError
from harness.data.subset import Choice, balanced, choose, first, listed, rank_in_class

Labels = npt.NDArray[np.int64]

labels_of_a_data_set = st.lists(st.integers(0, 6), min_size=1, max_size=60).map(lambda x: np.array(x, dtype=np.int64))


@st.composite
def labels_and_samples(draw: st.DrawFn) -> tuple[Labels, int]:
    labels = draw(labels_of_a_data_set)
    return labels, draw(st.integers(1, len(labels)))


@given(labels_and_samples())
def test_balanced_counts_differ_by_at_most_one_among_classes_with_images_left(drawn: tuple[Labels, int]) -> None:
    labels, samples = drawn
    chosen = balanced(labels, samples)
    classes, available = np.unique(labels, return_counts=True)
    counts = np.array([(labels[chosen] == label).sum() for label in classes])
    assert len(chosen) == samples
    assert np.all((counts == available) | (counts >= counts.max() - 1))


@given(labels_and_samples())
def test_balanced_takes_the_first_images_of_every_class(drawn: tuple[Labels, int]) -> None:
    labels, samples = drawn
    chosen = balanced(labels, samples)
    for label in np.unique(labels):
        of_class = chosen[labels[chosen] == label]
        assert np.array_equal(of_class, np.flatnonzero(labels == label)[: len(of_class)])


@given(labels_and_samples())
def test_balanced_only_adds_images_as_samples_grows(drawn: tuple[Labels, int]) -> None:
    labels, samples = drawn
    assert set(balanced(labels, samples)) <= set(balanced(labels, min(samples + 1, len(labels))))


@given(labels_and_samples())
def test_balanced_is_ascending_and_repeats(drawn: tuple[Labels, int]) -> None:
    labels, samples = drawn
    chosen = balanced(labels, samples)
    assert np.all(np.diff(chosen) > 0)
    assert np.array_equal(chosen, balanced(labels.copy(), samples))


@given(labels_of_a_data_set)
def test_without_samples_all_images_are_chosen_in_order(labels: Labels) -> None:
    everything = np.arange(len(labels))
    assert np.array_equal(balanced(labels, None), everything)
    assert np.array_equal(first(labels, None), everything)


@given(labels_of_a_data_set)
def test_rank_in_class_counts_the_earlier_images_of_the_same_class(labels: Labels) -> None:
    expected = [int((labels[:i] == label).sum()) for i, label in enumerate(labels)]
    assert rank_in_class(labels).tolist() == expected


def test_balanced_gives_the_remainder_to_the_lowest_classes() -> None:
    labels = np.array([2, 2, 1, 1, 0, 0])
    assert balanced(labels, 4).tolist() == [0, 2, 4, 5]


def test_balanced_fills_up_a_class_that_runs_out_from_the_others() -> None:
    labels = np.array([0, 1, 1, 1, 1])
    assert balanced(labels, 4).tolist() == [0, 1, 2, 3]


def test_first_takes_the_first_images() -> None:
    assert first(np.zeros(5, dtype=np.int64), 3).tolist() == [0, 1, 2]


def test_listed_indices_keep_the_order_of_the_suite_and_samples_cuts_the_list() -> None:
    labels = np.zeros(9, dtype=np.int64)
    assert listed(labels, None, [7, 1, 4]).tolist() == [7, 1, 4]
    assert listed(labels, 2, [7, 1, 4]).tolist() == [7, 1]


def test_choose_follows_the_word_or_the_list() -> None:
    labels = np.array([0, 0, 1])
    assert choose(labels, 2, "balanced").tolist() == [0, 2]
    assert choose(labels, 2, "first").tolist() == [0, 1]
    assert choose(labels, None, [2]).tolist() == [2]


@pytest.mark.parametrize("choice", ["balanced", "first"])
def test_more_samples_than_images_is_an_error_with_both_numbers(choice: Choice) -> None:
    with pytest.raises(HarnessError, match="samples = 4, but the data set has 3 images"):
        choose(np.array([0, 0, 1]), 4, choice)


@pytest.mark.parametrize("samples", [0, -1])
@pytest.mark.parametrize("choice", ["balanced", "first", [0]])
def test_fewer_samples_than_one_is_an_error(samples: int, choice: Choice) -> None:
    with pytest.raises(HarnessError, match="at least 1 image"):
        choose(np.array([0, 0, 1]), samples, choice)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([0, 3], "3 is outside the data set, which has images 0 to 2"),
        ([-1], "-1 is outside"),
        ([1, 0, 1], "1 is listed twice"),
        ([], "at least one whole number"),
        ([0.5], "at least one whole number"),
        ([True, False], "at least one whole number"),
    ],
)
def test_unusable_lists_are_refused(chosen: list[int], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        listed(np.array([0, 0, 1]), None, chosen)


def test_more_samples_than_listed_indices_is_an_error() -> None:
    with pytest.raises(HarnessError, match="`indices` lists 2"):
        listed(np.array([0, 0, 1]), 3, [0, 1])


def test_an_unknown_word_for_indices_is_an_error() -> None:
    with pytest.raises(HarnessError, match='"balanced", "first" or a list'):
        choose(np.array([0]), None, "random")
