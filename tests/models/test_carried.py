"""Images made for one model and shown to another that takes a different size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.models.carried import carried
from harness.models.classifier import Classifier, Provenance


def classifier(network: nn.Module) -> Classifier:
    return Classifier(network, Provenance("test"), mean=(0.5,), std=(0.25,))


def test_the_model_sees_scaled_images_and_standardizes_them_once() -> None:
    torch.manual_seed(0)
    model = classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 4, 5)))
    images = torch.rand(2, 3, 9, 9)
    scaled = F.interpolate(images, (6, 4), mode="bilinear", antialias=True)
    torch.testing.assert_close(carried(model, 6, 4)(images), model(scaled))


@pytest.mark.parametrize("size", [(5, 7), (24, 24)])
def test_scaled_images_stay_in_the_range_of_pixels(size: tuple[int, int]) -> None:
    images = torch.randint(0, 2, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
    seen = carried(classifier(nn.Identity()), *size)(images) * 0.25 + 0.5
    assert seen.shape == (8, 3, *size)
    assert seen.min() >= 0
    assert seen.max() <= 1


def test_whether_predictions_depend_on_the_batch_is_the_models_own_affair() -> None:
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    assert carried(classifier(norm), 8, 8).batch_dependent
    assert not carried(classifier(nn.BatchNorm2d(3)), 8, 8).batch_dependent
