"""Ensembles: what their members say together, and what attacks climb on them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.slope import input_gradient
from harness.core.errors import HarnessError
from harness.core.losses import cross_entropy
from harness.models import load_model
from harness.models.classifier import Classifier, Provenance
from harness.models.ensemble import FUSIONS, Ensemble, Fusion, parts_of
from harness.models.networks import NETWORKS
from harness.models.prepare import prepare

BN = "zoo:digits-resnet8-bn"
NONE = "zoo:digits-resnet8-none"


def pictures(count: int = 6) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def ensemble(fuse: Fusion) -> Classifier:
    return load_model(f"ensemble:{BN} + {NONE}", arguments={"fuse": fuse})


def expected(fuse: Fusion, first: Tensor, second: Tensor) -> Tensor:
    """Class probabilities from the members' logits, in float64."""
    first, second = first.double(), second.double()
    match fuse:
        case "logits":
            return ((first + second) / 2).softmax(1)
        case "probabilities":
            return (first.softmax(1) + second.softmax(1)) / 2
        case "loss":
            product = (first.softmax(1) * second.softmax(1)).sqrt()
            return product / product.sum(1, keepdim=True)


@pytest.mark.parametrize("fuse", FUSIONS)
def test_probabilities_are_those_of_the_formula(fuse: Fusion) -> None:
    images = pictures()
    first, second = (load_model(id)(images) for id in (BN, NONE))
    probabilities = ensemble(fuse)(images).double().softmax(1)
    assert torch.allclose(probabilities, expected(fuse, first, second), atol=1e-6)


def test_probabilities_survive_logits_that_a_softmax_would_flush_to_zero() -> None:
    class Fixed(nn.Module):
        def __init__(self, logits: list[float]) -> None:
            super().__init__()
            self.logits = torch.tensor([logits])

        def forward(self, images: Tensor) -> Tensor:
            return self.logits

    fused = Ensemble([Fixed([0.0, -500.0]), Fixed([0.0, -400.0])], "probabilities")(torch.zeros(1, 1, 1, 1))
    assert fused[0, 1].item() == pytest.approx(-400 - torch.log(torch.tensor(2.0)).item())


def test_fused_by_loss_the_gradient_is_the_mean_of_the_members() -> None:
    images, classes = pictures(), torch.arange(6)
    gradients = [input_gradient(load_model(id), images, classes, cross_entropy)[0] for id in (BN, NONE)]
    gradient, logits, losses = input_gradient(ensemble("loss"), images, classes, cross_entropy)
    each = torch.stack([cross_entropy(load_model(id)(images), classes) for id in (BN, NONE)])
    assert torch.allclose(losses, each.mean(0), atol=1e-6), "and the loss is the mean of theirs"
    assert torch.allclose(gradient, torch.stack(gradients).mean(0), atol=1e-7)
    assert torch.allclose(logits, ensemble("loss")(images), atol=1e-6)


@pytest.mark.parametrize("fuse", ["logits", "probabilities"])
def test_fused_otherwise_the_gradient_is_that_of_the_fused_logits(fuse: Fusion) -> None:
    images, classes = pictures().requires_grad_(), torch.arange(6)
    first, second = (load_model(id)(images) for id in (BN, NONE))
    loss = -expected(fuse, first, second)[torch.arange(6), classes].log().sum()
    (reference,) = torch.autograd.grad(loss, images)
    gradient, *_ = input_gradient(ensemble(fuse), images, classes, cross_entropy)
    assert torch.allclose(gradient, reference, atol=1e-6)


@pytest.mark.parametrize("fuse", FUSIONS)
def test_the_twin_folds_every_member_and_climbs_the_same_way(fuse: Fusion) -> None:
    original, images, classes = ensemble(fuse), pictures(16), torch.arange(16) % 10
    twin = prepare(original, images)
    assert twin.folded == prepare(load_model(BN), images).folded > 0
    assert len(parts_of(twin.model)) == len(parts_of(original)) == (2 if fuse == "loss" else 1)
    reference, *_ = input_gradient(original, images, classes, cross_entropy)
    gradient, *_ = input_gradient(twin.model, images, classes, cross_entropy)
    assert torch.allclose(gradient, reference, atol=1e-5)


def test_the_census_and_the_parameters_are_those_of_all_members() -> None:
    members = [load_model(id) for id in (BN, NONE)]
    whole = ensemble("logits")
    assert whole.census.bn == members[0].census.bn > 0
    assert whole.parameter_count == sum(member.parameter_count for member in members)


def test_fingerprints_tell_members_and_fusions_apart() -> None:
    others = [load_model(f"ensemble:{BN}+zoo:digits-resnet8-gn"), *(ensemble(fuse) for fuse in FUSIONS)]
    assert len({model.fingerprint for model in others}) == 4
    assert ensemble("loss").fingerprint == ensemble("loss").fingerprint


def test_members_with_random_weights_mark_the_ensemble() -> None:
    assert not ensemble("loss").provenance.random_weights
    untrained = load_model("ensemble:torchvision:resnet18@none+torchvision:resnet34@none")
    assert untrained.provenance.random_weights


@pytest.mark.parametrize(
    ("id", "arguments", "message"),
    [
        (f"ensemble:{BN}", None, "two or more different models; write ensemble:ID\\+ID"),
        (f"ensemble:{BN}+{BN}", None, "two or more different models"),
        (f"ensemble:{BN}+zoo:digits-resnet8-bnn", None, "digits-resnet8-bn"),
        (f"ensemble:{BN}+{NONE}", {"fuse": "logit"}, "did you mean: logits"),
        (f"ensemble:{BN}+{NONE}", {"fusion": "logits"}, "no argument fusion; an ensemble takes fuse"),
    ],
)
def test_a_wrong_ensemble_is_refused(id: str, arguments: dict[str, str] | None, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_model(id, arguments=arguments)


def test_members_with_other_classes_are_named() -> None:
    small, large = (Classifier(NETWORKS.get("vgg6")(classes=count, width=4), Provenance("test")) for count in (3, 5))
    with pytest.raises(ValueError, match="have 3, 5 classes"):
        Ensemble([small, large], "logits")(torch.rand(1, 3, 8, 8))
