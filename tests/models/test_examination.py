"""Every broken defence of the zoo raises its flags and no others; sound models raise none."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import harness
from harness.metrics.flags import FLAGS
from harness.models.card import zoo_cards
from harness.models.classifier import Classifier, Provenance
from harness.models.examination import are_probabilities, differ, examine
from tests.defences import (
    MODEL_FLAGS,
    Clamped,
    Defence,
    Detached,
    Drifting,
    Noisy,
    OverConfident,
    PartlyRounded,
    RootAtZero,
    Softmax,
    bright,
)

COUNT = 24
ALL = pytest.mark.parametrize("defence", MODEL_FLAGS, ids=lambda defence: defence.__name__)


@cache
def digits(count: int = COUNT) -> Tensor:
    """(count, 1, 8, 8) real images."""
    return torch.from_numpy(load_digits().images).float()[:count, None] / 16


def flags(network: nn.Module, images: Tensor | None = None, batch_size: int = 32) -> dict[str, int]:
    return examine(Classifier(network, Provenance("test")), digits() if images is None else images, batch_size)


@pytest.mark.parametrize("batch_size", [32, 5])
@ALL
def test_a_defence_raises_its_flags_and_no_others(defence: type[Defence], batch_size: int) -> None:
    assert set(flags(defence(), batch_size=batch_size)) == MODEL_FLAGS[defence] <= FLAGS.keys()


@pytest.mark.parametrize("name", [name for name in zoo_cards() if name.startswith("digits")])
def test_a_sound_network_raises_none(name: str) -> None:
    assert flags(harness.load_model(f"zoo:{name}")) == {}


@ALL
def test_one_image_can_be_examined(defence: type[Defence]) -> None:
    assert set(flags(defence(), digits(1))) <= MODEL_FLAGS[defence]


@pytest.mark.parametrize("defence", [Detached, Softmax, OverConfident, Noisy, Drifting, RootAtZero])
def test_what_every_image_shows_is_counted_for_every_image(defence: type[Defence]) -> None:
    assert list(flags(defence()).values()) == [COUNT]


def test_only_the_images_that_show_it_are_counted() -> None:
    expected = int(bright(digits()).sum())
    assert 0 < expected < COUNT
    assert flags(PartlyRounded()) == {"hidden_gradient": expected}


@ALL
def test_an_examination_is_repeatable_and_leaves_the_model_and_the_generators_as_they_were(
    defence: type[Defence],
) -> None:
    model = Classifier(defence(), Provenance("test"))
    tensors = {name: (tensor, tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()}
    modes, generator = [part.training for part in model.modules()], torch.get_rng_state()
    first = examine(model, digits(), 32)
    for name, tensor in model.state_dict(keep_vars=True).items():
        assert tensor is tensors[name][0], name
        assert torch.equal(tensor, tensors[name][1]), name
    assert [part.training for part in model.modules()] == modes
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)
    torch.rand(7)
    if defence.__name__ != "SeldomNoisy":
        assert examine(model, digits(), 32) == first


def test_a_model_that_fails_when_examined_is_left_as_it_was_too() -> None:
    class Tiring(Drifting):
        def forward(self, images: Tensor) -> Tensor:
            if len(images) == 2:
                raise RuntimeError("no pairs")
            return super().forward(images)

    network = Tiring()
    with pytest.raises(RuntimeError, match="no pairs"):
        flags(network)
    assert network.drift == 1


def test_running_out_of_memory_is_no_finding() -> None:
    class Large(Defence):
        def forward(self, images: Tensor) -> Tensor:
            if images.requires_grad:
                raise torch.cuda.OutOfMemoryError
            return super().forward(images)

    with pytest.raises(torch.cuda.OutOfMemoryError):
        flags(Large())


def test_logits_that_are_all_nan_hide_everything_else() -> None:
    class Nothing(Defence):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * torch.nan

    assert flags(Nothing()) == {}


def test_a_confident_model_whose_gradient_survives_is_not_saturated() -> None:
    class Confident(Defence):
        def forward(self, images: Tensor) -> Tensor:
            return 4 * super().forward(images)

    network = Confident()
    logits = network(digits())
    assert (nn.functional.cross_entropy(logits, logits.argmax(1), reduction="none") == 0).any()
    assert flags(network) == {}


# --- when logits differ, and when they are probabilities --------------------------------------------------------


def test_logits_differ_when_they_do_in_units_of_a_usual_logit() -> None:
    logits = torch.tensor([[10.0, 0], [0, 10], [0.001, 0], [1000, 0]])
    change = torch.tensor([[0.0009, 0], [0, 0.0011], [0.0009, 0], [0.0, 0.09]])
    assert differ(logits, logits + change, 1e-4).tolist() == [False, True, False, False]


def test_logits_that_are_not_finite_differ_only_from_finite_ones() -> None:
    logits = torch.tensor([[torch.nan, 0], [torch.inf, 0], [1.0, 0], [torch.nan, 0]])
    others = torch.tensor([[torch.nan, 0], [torch.inf, 0], [torch.nan, 0], [1.0, 0]])
    assert differ(logits, others, 1e-4).tolist() == [False, False, True, True]


def test_logits_that_are_all_zero_do_not_differ() -> None:
    assert not differ(torch.zeros(3, 4), torch.zeros(3, 4), 1e-4).any()


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[0.2, 0.8], [1.0, 0.0]], [True, True]),
        ([[0.2, 0.8], [torch.nan, 0.0]], [True, False]),
        ([[0.2, 0.8], [0.9, 0.9]], [False, False]),
        ([[0.2, 0.8], [-0.5, 1.5]], [False, False]),
    ],
    ids=["shares", "nan", "scores", "negative"],
)
def test_outputs_are_probabilities_if_all_finite_ones_are(logits: list[list[float]], expected: list[bool]) -> None:
    assert are_probabilities(torch.tensor(logits)).tolist() == expected


def test_a_clamp_shows_only_on_images_with_pixels_at_its_ends() -> None:
    images = digits()
    images = torch.cat([images[:16].clamp(0.1, 0.9), images[16:]])
    assert flags(Clamped(), images) == {"clipped_gradient": 8}


class OneGradient(torch.autograd.Function):
    """The identity; refuses a second gradient of the same pass, as compiled functions may."""

    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        context.taken = False
        return images.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        if context.taken:
            raise RuntimeError("only one gradient of a pass")
        context.taken = True
        return gradient


def test_a_network_that_has_one_gradient_a_pass_is_sound() -> None:
    class Compiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.inner(OneGradient.apply(images))
            return logits

    assert flags(Compiled()) == {}
