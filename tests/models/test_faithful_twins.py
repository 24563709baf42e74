"""Networks whose trace is not the whole truth: what attacks see through the twin is what the original would show."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune, spectral_norm, weight_norm

from harness.models.answers import answer_of
from harness.models.classifier import Classifier, Provenance
from harness.models.prepare import prepare

IMAGES = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def body() -> nn.Sequential:
    """Two foldable BatchNorm layers."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


class StraightThrough(torch.autograd.Function):
    """Rounds, and passes gradients as they come (Athalye et al. 2018)."""

    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        return (images * 15).round() / 15

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient


class Wrapped(nn.Module):
    """A network that treats its images first."""

    def __init__(self, treat: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.treat, self.body = treat, body()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(self.treat(images))
        return logits


def straight_through(images: Tensor) -> Tensor:
    return StraightThrough.apply(images)  # type: ignore[no-any-return]


def rounded_without_gradient(images: Tensor) -> Tensor:
    with torch.no_grad():
        rest = (images * 15).round() / 15 - images
    return images + rest


@torch.no_grad()
def without_gradient(images: Tensor) -> Tensor:
    return images * 2


def purified(images: Tensor) -> Tensor:
    with torch.enable_grad():
        points = images.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(points.square().sum(), points)
    return images - 0.01 * gradient.sign()


def negated(layer: nn.Module, inputs: Any, outputs: Any) -> tuple[Tensor]:
    return (-inputs[0],)


def hooked_backwards() -> nn.Module:
    network = body()
    network[1].register_full_backward_hook(negated)
    return network


def hooked_forwards() -> nn.Module:
    network = body()
    network[1].register_forward_hook(lambda layer, inputs, output: output.clamp(-0.1, 0.1))
    return network


def hooked_at_the_root() -> nn.Module:
    network = body()
    network.register_forward_hook(lambda layer, inputs, output: -output)
    return network


class WithLabels(nn.Module):
    """Gives the loss where it is given labels, as many of Hugging Face's do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = body()

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.body(images)
        if labels is not None:
            return nn.functional.cross_entropy(logits, labels)
        return logits


def changed_before_it_runs(change: Callable[..., object], **options: Any) -> nn.Module:
    network = body()
    change(network[0], **options)
    with torch.no_grad():
        network(IMAGES)
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "straight-through": lambda: Wrapped(straight_through),
    "rounded without gradient": lambda: Wrapped(rounded_without_gradient),
    "without gradient": lambda: Wrapped(without_gradient),
    "takes a gradient itself": lambda: Wrapped(purified),
    "hooked backwards": hooked_backwards,
    "hooked forwards": hooked_forwards,
    "hooked at the root": hooked_at_the_root,
    "labels": WithLabels,
    "pruned": lambda: changed_before_it_runs(prune.l1_unstructured, name="weight", amount=0.5),
    "weight normalization": lambda: changed_before_it_runs(weight_norm),
    "spectral normalization": lambda: changed_before_it_runs(spectral_norm),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_twin_answers_as_the_original_and_has_its_gradient(name: str) -> None:
    original = Classifier(NETWORKS[name]().eval(), Provenance("test"))
    expected, answer = answer_of(original, IMAGES), answer_of(prepare(original, IMAGES).model, IMAGES)
    assert expected is not None
    assert answer is not None
    torch.testing.assert_close(answer.logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answer.silent, expected.silent, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answer.gradient, expected.gradient, rtol=1e-3, atol=1e-6)


def test_a_network_that_hides_nothing_is_folded_all_the_same() -> None:
    assert prepare(Classifier(body(), Provenance("test")), IMAGES).folded == 2


def noisy(images: Tensor) -> Tensor:
    return images + 0.2 * torch.randn(1, 3, 12, 12)


def one_of_three(images: Tensor) -> Tensor:
    return images * (1 + int(torch.randint(0, 3, (1,))))


def as_python_likes(images: Tensor) -> Tensor:
    return images * random.choice((1, 2, 3))


def as_numpy_likes(images: Tensor) -> Tensor:
    return images * float(np.random.uniform(1, 3))  # noqa: NPY002 - defences do


@pytest.mark.parametrize("treat", [noisy, one_of_three, as_python_likes, as_numpy_likes])
def test_a_network_that_draws_random_numbers_draws_them_anew_in_every_pass_of_its_twin(
    treat: Callable[[Tensor], Tensor],
) -> None:
    twin = prepare(Classifier(Wrapped(treat), Provenance("test")), IMAGES).model
    logits = [twin(IMAGES) for _ in range(20)]
    assert len({tuple(answer.flatten().tolist()) for answer in logits}) > 1


def test_preparing_leaves_the_random_numbers_as_they_were() -> None:
    original = Classifier(Wrapped(noisy), Provenance("test"))
    before = torch.get_rng_state()
    prepare(original, IMAGES)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_of_a_network_that_counts_its_passes_is_the_same_in_its_twin() -> None:
    class Counting(nn.Module):
        passes: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.body = body()
            self.register_buffer("passes", torch.zeros(()))

        def forward(self, images: Tensor) -> Tensor:
            self.passes += 1
            logits: Tensor = self.body(images)
            return logits

    original = Classifier(Counting(), Provenance("test"))
    twin = prepare(original, IMAGES).model
    passes = [value for name, value in (*original.named_buffers(), *twin.named_buffers()) if name.endswith("passes")]
    assert [value.item() for value in passes] == [0] * len(passes)
