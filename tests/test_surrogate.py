"""A surrogate's twins: made once for all attacks on it, and never one that may carry something over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import harness.surrogate
from harness.data import Dataset, fingerprint
from harness.judging import Arena
from harness.models.classifier import Classifier, Provenance
from harness.models.prepare import prepare
from harness.surrogate import Surrogate


def arena(seed: int = 0) -> Arena:
    images = np.random.default_rng(seed).random((8, 1, 6, 6), dtype=np.float32)
    labels = indices = np.arange(8)
    dataset = Dataset("noise", images, labels, indices, ("a",) * 8, fingerprint(images, labels, indices))
    return Arena(dataset, torch.device("cpu"), batch_size=4)


def surrogate(*layers: nn.Module) -> Surrogate:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), *layers, nn.Flatten(), nn.Linear(4 * 4 * 4, 8))
    return Surrogate(Classifier(network, Provenance("test")))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    """What twins were made for: a precision, and the size of the batches that are compiled."""
    made: list[tuple[str, int | None]] = []

    def note(model: Classifier, images: Tensor, precision: str, compile_for: int | None) -> object:
        made.append((precision, compile_for))
        return prepare(model, images, "bfloat16" if precision == "bfloat16" else "float32")

    monkeypatch.setattr(harness.surrogate, "prepare", note)
    return made


def test_a_twin_is_made_once_for_images_precision_and_compiled_batches(made: list[tuple[str, int | None]]) -> None:
    crafting, here = surrogate(nn.ReLU()), arena()
    first = crafting.twin(here, "float32")
    assert crafting.twin(here, "float32") is first
    assert crafting.twin(here.with_batch_size(2), "float32") is first
    assert first.folded == 1
    crafting.twin(arena(seed=1), "float32")
    crafting.twin(here, "bfloat16")
    for compiled in (here, here, here.with_batch_size(2)):
        crafting.twin(compiled, "float32", compiled=True)
    assert made == [("float32", None), ("float32", None), ("bfloat16", None), ("float32", 4), ("float32", 2)]


class Random(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + torch.rand_like(images)


class Tired(nn.Module):
    """Answers less and less, which no buffer tells."""

    strength = 1.0

    def forward(self, images: Tensor) -> Tensor:
        self.strength /= 2
        return images * self.strength


@pytest.mark.parametrize("layer", [Random(), Tired()])
def test_a_model_that_may_answer_otherwise_next_time_has_another_twin_every_time(
    layer: nn.Module, made: list[tuple[str, int | None]]
) -> None:
    crafting, here = surrogate(layer), arena()
    assert crafting.twin(here, "float32").model is not crafting.twin(here, "float32").model
    assert len(made) == 2


def test_a_model_that_cannot_be_copied_is_its_own_twin() -> None:
    class Single(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images

        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("one of a kind")

    crafting = surrogate(Single())
    twin = crafting.twin(arena(), "float32")
    assert twin.model is crafting.model
    assert twin == replace(crafting).twin(arena(), "float32")
