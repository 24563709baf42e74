"""The fast twin computes what the original computes, and the original never notices."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torchvision
from torch import Tensor, nn

from harness.core.precision import PassPrecision
from harness.models.classifier import Classifier, Provenance
from harness.models.networks import NETWORKS
from harness.models.prepare import Prepared, prepare
from harness.models.rewrite import rewrite

TOLERANCE = 1e-4
"""Of the twin's logits, relative to the largest logit."""


def classifier(network: nn.Module, seed: int = 0) -> Classifier:
    """A standardizing classifier whose BatchNorm layers have learnt something."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
            if module.affine:
                with torch.no_grad():
                    module.weight.copy_(0.5 + torch.rand(module.num_features, generator=generator))
                    module.bias.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
    return Classifier(network, Provenance("test"), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))


def pictures(size: int = 32, count: int = 4) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def batchnorms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def deviation(original: Classifier, prepared: Prepared, images: Tensor) -> tuple[float, float]:
    """Largest difference of the logits, and the largest logit."""
    with torch.no_grad():
        expected, logits = original(images), prepared.model(images)
    return (expected - logits).abs().max().item(), expected.abs().max().item()


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


FOLDABLE: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet20": (lambda: NETWORKS.get("resnet20")(width=4), 32),
    "vgg11": (lambda: NETWORKS.get("vgg11")(width=16), 32),
    "torchvision-resnet18": (lambda: torchvision.models.resnet18(num_classes=10), 32),
}


@cache
def folded(name: str) -> tuple[Classifier, Prepared, int]:
    """A classifier, its twin, and the size of its images."""
    make, size = FOLDABLE[name]
    torch.manual_seed(0)
    original = classifier(make())
    return original, prepare(original, pictures(size)), size


class Pooled(nn.Module):
    """Global average and a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.logits = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.logits(x.mean((2, 3)))
        return logits


@pytest.mark.parametrize("name", FOLDABLE)
def test_every_batchnorm_after_a_convolution_is_folded_and_the_logits_stay(name: str) -> None:
    original, prepared, size = folded(name)
    assert prepared.folded == batchnorms(original.network) > 0
    assert batchnorms(prepared.model) == 0
    unseen = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(9))
    worst, scale = deviation(original, prepared, unseen)
    assert worst <= TOLERANCE * scale


@pytest.mark.parametrize("name", FOLDABLE)
def test_the_slack_is_more_than_the_deviation_but_next_to_nothing(name: str) -> None:
    original, prepared, size = folded(name)
    worst, scale = deviation(original, prepared, pictures(size))
    assert worst < prepared.slack < TOLERANCE * scale


@pytest.mark.parametrize("name", FOLDABLE)
def test_gradients_of_the_twin_are_those_of_the_original(name: str) -> None:
    original, prepared, size = folded(name)
    gradients = []
    for model in (original, prepared.model):
        images = pictures(size, 2).requires_grad_()
        gradients.append(torch.autograd.grad(model(images).square().sum(), images)[0].flatten())
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 1 - 1e-4


def test_the_original_is_left_as_it_was() -> None:
    original = classifier(NETWORKS.get("resnet20")())
    fingerprint = original.fingerprint
    flags = [(part.training, [p.requires_grad for p in part.parameters()]) for part in original.modules()]
    addresses = [tensor.data_ptr() for tensor in original.state_dict().values()]
    strides = [tensor.stride() for tensor in original.state_dict().values()]
    generator = torch.random.get_rng_state()
    prepare(original, pictures())
    assert original.fingerprint == fingerprint
    assert [(part.training, [p.requires_grad for p in part.parameters()]) for part in original.modules()] == flags
    assert [tensor.data_ptr() for tensor in original.state_dict().values()] == addresses
    assert [tensor.stride() for tensor in original.state_dict().values()] == strides
    assert torch.equal(torch.random.get_rng_state(), generator)


def test_the_twin_asks_for_no_parameter_gradients_and_is_in_eval_mode() -> None:
    prepared = prepare(classifier(NETWORKS.get("resnet8")()), pictures())
    assert not any(parameter.requires_grad for parameter in prepared.model.parameters())
    assert not any(part.training for part in prepared.model.modules() if not list(part.children()))


class PreActivation(nn.Module):
    """BatchNorm, ReLU, convolution (He et al. 2016b): the first BatchNorm has no convolution of its own before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1, self.conv1 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1)
        self.head = Pooled(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.conv2(torch.relu(self.norm2(self.conv1(torch.relu(self.norm1(x))))))
        logits: Tensor = self.head(x)
        return logits


class SharedConvolution(nn.Module):
    """One convolution used twice, with a BatchNorm after each use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.head = Pooled(3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv(x)))
        logits: Tensor = self.head(self.norm2(self.conv(x)))
        return logits


class SharedNorm(nn.Module):
    """Two convolutions, one BatchNorm after both."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.head = Pooled(3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.conv2(self.norm(self.conv1(x)))))
        return logits


class TiedWeights(nn.Module):
    """Reads the weights of its convolution a second time, behind the tracer's back of a module call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.head = Pooled(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        logits: Tensor = self.head(nn.functional.conv2d(x, self.conv.weight))
        return logits


class DependsOnValues(nn.Module):
    """Branches on its input's values, which no tracer can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), Pooled(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        if x.mean() > 0:
            x = 2 * x
        logits: Tensor = self.head(torch.relu(x))
        return logits


class WithoutStatistics(nn.Sequential):
    """BatchNorm without running statistics: always those of the batch."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU(), Pooled(8))


@pytest.mark.parametrize(
    ("make", "folded"),
    [
        (PreActivation, 1),
        (SharedConvolution, 0),
        (SharedNorm, 0),
        (TiedWeights, 0),
        (DependsOnValues, 0),
        (WithoutStatistics, 0),
        (lambda: NETWORKS.get("resnet8")(norm="gn"), 0),
        (lambda: NETWORKS.get("resnet8")(norm="none"), 0),
    ],
)
def test_what_cannot_be_folded_is_left_and_the_logits_stay(make: Callable[[], nn.Module], folded: int) -> None:
    original = classifier(make())
    prepared = prepare(original, pictures())
    assert prepared.folded == folded
    assert batchnorms(prepared.model) == batchnorms(original.network) - folded
    worst, scale = deviation(original, prepared, pictures())
    assert worst <= TOLERANCE * scale


def test_a_batchnorm_in_train_mode_is_not_folded() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), Pooled(8)
    )
    original = classifier(network)
    network[1].train()
    assert rewrite(original) == 1
    assert [type(part) for part in original.network.modules()].count(nn.BatchNorm2d) == 1


def test_a_twin_with_a_batchnorm_in_train_mode_uses_the_statistics_of_the_batch_too() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), Pooled(8)
    )
    original = classifier(network)
    network[1].train()
    prepared = prepare(original, pictures())
    worst, scale = deviation(original, prepared, pictures(count=2))
    assert worst <= TOLERANCE * scale


def test_a_batchnorm_in_train_mode_keeps_its_running_statistics() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), Pooled(8))
    original = classifier(network)
    network[1].train()
    fingerprint = original.fingerprint
    prepare(original, pictures())
    assert original.fingerprint == fingerprint


def test_a_convolution_whose_output_is_read_twice_keeps_its_batchnorm() -> None:
    class ReadTwice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), Pooled(8)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            logits: Tensor = self.head(x + self.norm(x))
            return logits

    original = classifier(ReadTwice())
    prepared = prepare(original, pictures())
    assert prepared.folded == 0
    worst, scale = deviation(original, prepared, pictures())
    assert worst <= TOLERANCE * scale


def test_a_network_that_cannot_be_copied_is_used_as_it_is() -> None:
    class Uncopyable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = Pooled(3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(x)
            return logits

        def __deepcopy__(self, memo: object) -> None:
            raise RuntimeError("only one of me")

    original = classifier(Uncopyable())
    assert prepare(original, pictures()).model is original


class Double(nn.Module):
    """Computes in double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.body = NETWORKS.get("resnet8")().double()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.body(x.double())
        return logits


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_logits_in_double_precision_become_float32_in_the_model_and_its_twin(precision: PassPrecision) -> None:
    original = classifier(Double())
    prepared = prepare(original, pictures(), precision)
    assert original(pictures()).dtype == prepared.model(pictures()).dtype == torch.float32


class Dynamic(nn.Module):
    """Mixes several kernels into one (Yang et al. 2019): a parameter of five dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(4, 8, 3, 3, 3))
        self.register_buffer("frames", torch.ones(1, 1, 1, 1, 1))
        self.norm, self.head = nn.BatchNorm2d(8), Pooled(8)

    def forward(self, x: Tensor) -> Tensor:
        shares = x.mean((0, 2, 3)).sum() * torch.arange(4).softmax(0, dtype=torch.float32)
        logits: Tensor = self.head(
            self.norm(nn.functional.conv2d(x, (shares.view(4, 1, 1, 1, 1) * self.kernels).sum(0)))
        )
        return logits


def test_weights_of_five_dimensions_are_left_as_they_lie() -> None:
    original = classifier(Dynamic())
    prepared = prepare(original, pictures())
    worst, scale = deviation(original, prepared, pictures())
    assert worst <= TOLERANCE * scale


class Reading(nn.Module):
    """Multiplies by its own ReLU, whose backward pass reads what comes before it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), Pooled(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        logits: Tensor = self.head(torch.relu(x * x.sigmoid()) + x)
        return logits


@pytest.mark.parametrize("make", [Reading, PreActivation, lambda: NETWORKS.get("resnet8")(norm="gn")])
def test_relus_overwrite_only_what_nobody_reads_again(make: Callable[[], nn.Module]) -> None:
    original = classifier(make())
    prepared = prepare(original, pictures())
    gradients = []
    for model in (original, prepared.model):
        images = pictures(count=2).requires_grad_()
        gradients.append(torch.autograd.grad(model(images).square().sum(), images)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


def test_a_twin_whose_backward_pass_fails_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Overwritten(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            x = x.exp()
            logits: Tensor = self.network(x.clone().add(x).mul(0.5).log())
            if x.requires_grad:
                x.add_(0)
            return logits

    def spoil(twin: Classifier) -> int:
        twin.network = Overwritten(twin.network)
        return 1

    monkeypatch.setattr("harness.models.prepare.rewrite", spoil)
    original = classifier(NETWORKS.get("resnet8")())
    prepared = prepare(original, pictures())
    assert prepared.folded == 0
    images = pictures().requires_grad_()
    torch.autograd.grad(prepared.model(images).sum(), images)


def test_passes_in_bfloat16_answer_in_float32_and_tell_how_far_they_are_off() -> None:
    original = classifier(NETWORKS.get("resnet20")(width=8))
    prepared = prepare(original, pictures(), "bfloat16")
    assert prepared.precision == "bfloat16"
    with torch.no_grad():
        logits = prepared.model(pictures())
    assert logits.dtype == torch.float32
    worst, scale = deviation(original, prepared, pictures())
    assert 0 < worst < prepared.slack
    assert worst > TOLERANCE * scale / 10, "rounding to eight bits shows"


class Delicate(nn.Module):
    """Differences of large numbers, which eight bits cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x.flatten(1)[:, :48]) + 0
        large = nn.functional.linear(x.flatten(1)[:, :48], torch.full((5, 48), 1e4))
        return logits + large - large.mean(1, keepdim=True) * (1 + 1e-3)


def test_a_model_that_bfloat16_distorts_is_used_in_float32() -> None:
    original = classifier(Delicate())
    prepared = prepare(original, pictures(), "bfloat16")
    assert prepared.precision == "float32"
