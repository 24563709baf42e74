"""Attack losses, per sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from harness.core.losses import LOSSES, cross_entropy, dlr, logit, margin, targeted_dlr

logits_of = {
    classes: arrays(np.float32, (4, classes), elements=st.floats(-64, 64, width=32)).map(torch.from_numpy)
    for classes in (2, 3, 10)
}
some_logits = st.one_of(*logits_of.values())


@given(some_logits)
def test_a_positive_margin_means_misclassified_and_a_negative_one_classified(logits: Tensor) -> None:
    for label in range(logits.shape[1]):
        lead = margin(logits, torch.full((4,), label))
        assert (logits.argmax(1)[lead > 0] != label).all()
        assert (logits.argmax(1)[lead < 0] == label).all()


def test_margin_is_the_largest_other_logit_minus_the_own() -> None:
    logits = torch.tensor([[1.0, 4.0, 2.0], [1.0, 4.0, 2.0], [5.0, 5.0, -1.0]])
    assert margin(logits, torch.tensor([1, 0, 0])).tolist() == [2 - 4, 4 - 1, 0]


@given(logits_of[2])
def test_margin_of_two_classes_is_the_difference_of_their_logits(logits: Tensor) -> None:
    assert torch.equal(margin(logits, torch.zeros(4, dtype=torch.int64)), logits[:, 1] - logits[:, 0])


@given(logits_of[2])
def test_cross_entropy_of_two_classes_is_the_softplus_of_the_margin(logits: Tensor) -> None:
    classes = torch.tensor([0, 1, 0, 1])
    expected = F.softplus(margin(logits, classes).double()).float()
    torch.testing.assert_close(cross_entropy(logits, classes), expected, rtol=1e-5, atol=1e-6)


@given(some_logits)
def test_cross_entropy_is_the_negative_log_of_the_softmax(logits: Tensor) -> None:
    classes = torch.tensor([0, 1, 1, 0])
    expected = [
        math.log(sum(math.exp(other - row[label]) for other in row))
        for row, label in zip(logits.tolist(), classes.tolist(), strict=True)
    ]
    torch.testing.assert_close(cross_entropy(logits, classes), torch.tensor(expected), rtol=1e-5, atol=1e-5)


@given(some_logits)
def test_logit_is_the_negated_logit_of_the_class(logits: Tensor) -> None:
    assert torch.equal(logit(logits, torch.ones(4, dtype=torch.int64)), -logits[:, 1])


@pytest.mark.parametrize("name", LOSSES)
@given(some_logits)
def test_losses_are_per_sample(name: str, logits: Tensor) -> None:
    loss, classes = LOSSES[name], torch.tensor([0, 1, 1, 0])  # type: ignore[index]
    together = loss(logits, classes)
    assert together.shape == (4,)
    alone = torch.cat([loss(logits[i : i + 1], classes[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone)


# Not the DLR loss: its denominator rises as well.
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "dlr"])
@given(some_logits)
def test_losses_fall_when_the_own_logit_rises(name: str, logits: Tensor) -> None:
    loss, classes = LOSSES[name], torch.zeros(4, dtype=torch.int64)  # type: ignore[index]
    raised = logits.clone()
    raised[:, 0] += 1
    # Below 1e-3 the cross-entropy of a sure classifier may round to zero.
    unsure = cross_entropy(logits, classes) > 1e-3
    assert (loss(raised, classes) < loss(logits, classes))[unsure].all()


def test_gradients_of_the_margin_push_the_own_logit_down_and_its_strongest_rival_up() -> None:
    logits = torch.tensor([[1.0, 4.0, 2.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(margin(logits, torch.tensor([1])).sum(), logits)
    assert gradient.tolist() == [[0.0, -1.0, 1.0]]


def test_gradients_of_cross_entropy_are_the_softmax_minus_the_own_class() -> None:
    logits = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]], requires_grad=True)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, torch.tensor([1])).sum(), logits)
    assert gradient[0].tolist() == pytest.approx([1 / 8, 2 / 8 - 1, 5 / 8])


CLASSES = torch.tensor([0, 1, 2, 1])


def test_dlr_is_the_margin_over_the_spread_of_the_three_largest_logits() -> None:
    logits = torch.tensor([[5.0, 2.0, 1.0, -9.0]]).expand(2, 4)
    assert dlr(logits, torch.tensor([0, 1])).tolist() == pytest.approx([-3 / 4, 3 / 4])


def test_targeted_dlr_is_the_lead_over_the_spread_of_the_four_largest_logits() -> None:
    logits = torch.tensor([[6.0, 5.0, 2.0, 0.0, -9.0]]).expand(2, 5)
    reached = targeted_dlr(logits, torch.tensor([0, 1]), torch.tensor([2, 0]))
    assert reached.tolist() == pytest.approx([(2 - 6) / (6 - 1), (6 - 5) / (6 - 1)])


@given(logits_of[10], st.floats(0.25, 4), st.floats(-8, 8))
def test_dlr_losses_do_not_see_scale_and_shift(logits: Tensor, scale: float, shift: float) -> None:
    apart = torch.arange(10.0).expand(4, 10)  # ties have no spread to divide by
    aimed = (CLASSES + 3) % 10
    plain, changed = logits + 200 * apart, scale * (logits + 200 * apart) + shift
    torch.testing.assert_close(dlr(plain, CLASSES), dlr(changed, CLASSES), rtol=1e-3, atol=1e-3)
    first, second = targeted_dlr(plain, CLASSES, aimed), targeted_dlr(changed, CLASSES, aimed)
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


@given(logits_of[10])
def test_dlr_has_the_sign_of_the_margin_and_is_at_most_one_below_it(logits: Tensor) -> None:
    lead, ratio = margin(logits, CLASSES), dlr(logits, CLASSES)
    assert (ratio.sign() == lead.sign()).all()
    assert (ratio[lead < 0] >= -1 - 1e-6).all()


@given(logits_of[2])
def test_with_too_few_classes_the_dlr_losses_are_the_lead_alone(logits: Tensor) -> None:
    classes = torch.tensor([0, 1, 1, 0])
    assert torch.equal(dlr(logits, classes), margin(logits, classes))
    assert torch.equal(targeted_dlr(logits, classes, 1 - classes), margin(logits, classes))
