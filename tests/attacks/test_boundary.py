"""Linearised decision boundaries of models whose boundaries are known."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.boundary import nearest_boundary
from harness.attacks.hyperplane import dual_length, length
from harness.core.threat import Norm

NORMS = get_args(Norm)
CLASSES = torch.tensor([0, 1, 2, 3])
RIVALS = torch.tensor([[row for row in range(5) if row != own] for own in CLASSES.tolist()])


class Linear(nn.Module):
    """Images (N, 1, 4, 4) to five logits; counts its forward passes."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.flatten(1) @ self.weights + torch.tensor([0.3, 0.2, 0.1, 0.0, -0.1])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("slack", [0.0, 0.25])
def test_the_nearest_of_all_boundaries_is_found_in_one_forward_pass(norm: Norm, slack: float, grey: Tensor) -> None:
    model = Linear()
    boundary = nearest_boundary(model, grey, CLASSES, RIVALS, norm, slack)
    assert model.calls == 1
    logits, columns = model(grey), model.weights.T
    leads = logits.gather(1, RIVALS) - logits.gather(1, CLASSES[:, None]) - slack
    normals = columns[RIVALS] - columns[CLASSES][:, None]
    nearest = (leads.abs() / dual_length(normals, norm)).argmin(1)
    rows = torch.arange(4)
    torch.testing.assert_close(boundary.leads[:, 0], leads[rows, nearest])
    torch.testing.assert_close(boundary.normals, normals[rows, nearest])
    torch.testing.assert_close(boundary.logits, logits)
    assert not boundary.normals.requires_grad


@pytest.mark.parametrize("norm", NORMS)
def test_after_the_step_the_rival_leads_by_the_slack(norm: Norm, grey: Tensor) -> None:
    boundary = nearest_boundary(Linear(), grey, CLASSES, RIVALS[:, :1], norm, slack=0.1)
    there = boundary.points + boundary.step_from(norm, boundary.points)
    logits = Linear()(there)
    lead = logits.gather(1, RIVALS[:, :1]) - logits.gather(1, CLASSES[:, None])
    torch.testing.assert_close(lead, torch.full((4, 1), 0.1), rtol=0, atol=1e-5)


def test_a_rival_without_a_gradient_or_a_number_is_never_the_nearest(grey: Tensor) -> None:
    model = Linear()

    def broken(images: Tensor) -> Tensor:
        logits = model(images)
        unknown = torch.full_like(logits[:, 2], torch.nan)
        return torch.stack([logits[:, 0], logits[:, 0].detach(), unknown, logits[:, 3]], 1)

    classes, rivals = torch.zeros(4, dtype=torch.int64), torch.tensor([[2, 3]]).expand(4, 2)
    boundary = nearest_boundary(broken, grey, classes, rivals, "l2")
    torch.testing.assert_close(boundary.normals, (model.weights[:, 3] - model.weights[:, 0]).expand(4, 16))

    boundary = nearest_boundary(broken, grey, classes + 1, rivals[:, :1], "l2")
    assert (boundary.normals == 0).all()
    assert (boundary.step_from("l2", boundary.points) == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_model_cut_off_from_its_images_moves_nothing(norm: Norm, grey: Tensor) -> None:
    boundary = nearest_boundary(lambda images: Linear()(images).detach(), grey, CLASSES, RIVALS, norm)
    assert (boundary.step_from(norm, boundary.points) == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_the_logits_does_not_matter(scale: float, grey: Tensor) -> None:
    plain, scaled = (
        nearest_boundary(lambda images, by=by: by * Linear()(images), grey, CLASSES, RIVALS, "l2")  # type: ignore[misc]
        for by in (1, scale)
    )
    lengths = (length(boundary.step_from("l2", boundary.points), "l2") for boundary in (plain, scaled))
    torch.testing.assert_close(*lengths, rtol=1e-3, atol=0)
