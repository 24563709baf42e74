"""Views of a model: which statistics its layers use, that nothing else changes, and that the fingerprint tells."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from harness.core.errors import HarnessError
from harness.models import load_model
from harness.models.classifier import Classifier, Provenance
from harness.models.ensemble import Ensemble
from harness.models.networks import NETWORKS
from harness.models.networks.robust_norm import RobustNorm2d, power_of_range
from harness.models.prepare import prepare
from harness.models.state import State
from harness.models.views import (
    BatchNormView,
    Calibration,
    depends_on_batch,
    recalibrate,
    take_batchnorm_view,
    take_robustnorm_view,
)

CALIBRATION = Calibration("clean images", 12, 4, "a" * 64)


class Own(nn.BatchNorm2d):
    """A user's layer, which looks at its mode alone."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, 1e-3)


def own() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), Own(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5))


NETWORKS_WITH_BATCHNORM: dict[str, Callable[[], nn.Module]] = {
    "ours": lambda: NETWORKS.get("resnet20")(width=4),
    "torchvision": lambda: torchvision.models.resnet18(num_classes=5),
    "timm": lambda: timm.create_model("mobilenetv3_small_050", num_classes=5),
    "sync": lambda: nn.SyncBatchNorm.convert_sync_batchnorm(NETWORKS.get("vgg11")(width=8)),
    "own": own,
}


def images(count: int = 6, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def classifier(network: nn.Module, norm: bool = True) -> Classifier:
    """With running statistics and weights that differ from those at initialization."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.1)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))  # type: ignore[union-attr]
            with torch.no_grad():
                module.weight.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return Classifier(network, Provenance("test"), mean=(0.5,), std=(0.25,))


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


def in_view(model: Classifier, view: BatchNormView) -> Classifier:
    model = copy.deepcopy(model)
    take_batchnorm_view(model, view, CALIBRATION if view == "recalibrated" else None)
    return model


# --- batch ------------------------------------------------------------------------------------------------------


def test_the_batch_view_of_one_layer_is_batch_norm_in_training() -> None:
    layer = nn.BatchNorm2d(3)
    model = classifier(layer)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1.0, -1.0, 0.5]))
    x = images()
    expected = F.batch_norm((x - 0.5) / 0.25, None, None, layer.weight, layer.bias, training=True)
    torch.testing.assert_close(in_view(model, "batch")(x), expected)
    assert not torch.allclose(model(x), expected, atol=0.1)


@pytest.mark.parametrize("name", NETWORKS_WITH_BATCHNORM)
def test_the_batch_view_is_what_training_mode_of_the_norms_alone_computes(name: str) -> None:
    model = classifier(NETWORKS_WITH_BATCHNORM[name]())
    training = copy.deepcopy(model)
    for module in training.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.training = True
    view, before = in_view(model, "batch"), State(model)
    with torch.no_grad():
        logits = view(images())
        torch.testing.assert_close(logits, training(images()))
        assert not torch.allclose(logits, model(images()), rtol=1e-2)
    assert not before.changed, "the view is that of the copy"


@pytest.mark.parametrize("name", NETWORKS_WITH_BATCHNORM)
def test_no_pass_of_the_batch_view_changes_state_or_modes_and_no_mode_changes_the_view(name: str) -> None:
    view = in_view(classifier(NETWORKS_WITH_BATCHNORM[name]()), "batch")
    state, fingerprint = State(view), view.fingerprint
    first = view(images())
    view(images(seed=1))
    assert torch.equal(view.eval()(images()), first)
    assert not state.changed
    assert view.fingerprint == fingerprint
    assert not any(module.training for module in view.modules())


def test_a_changed_image_changes_the_logits_of_the_others_in_the_batch_view_alone() -> None:
    model = classifier(NETWORKS_WITH_BATCHNORM["ours"]())
    view, changed = in_view(model, "batch"), images()
    changed[0] = 1 - changed[0]
    others = [(asked(images())[1:] - asked(changed)[1:]).abs().amax(1) for asked in (model, view)]
    assert (others[0] < 1e-5).all()
    assert (others[1] > 1e-3).all()


def test_gradients_run_through_the_statistics_of_the_batch() -> None:
    view = in_view(classifier(NETWORKS_WITH_BATCHNORM["ours"]()), "batch")
    points = images().requires_grad_()
    (gradient,) = torch.autograd.grad(view(points)[0, 0], points)
    assert (gradient[1:].flatten(1).abs().amax(1) > 0).all(), "the logit of one image has a slope in all of them"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["ours", "torchvision", "own"])
def test_the_twin_of_the_batch_view_folds_no_norm_and_agrees_on_every_batch(name: str, precision: str) -> None:
    view = in_view(classifier(NETWORKS_WITH_BATCHNORM[name]()), "batch")
    twin = prepare(view, images(8), precision)  # type: ignore[arg-type]
    assert twin.folded == 0
    with torch.no_grad():
        for size in (3, 8):
            logits = view(images(size, seed=2))
            deviation = (twin.model(images(size, seed=2)) - logits).abs().max() / logits.abs().max()
            assert deviation < (1e-3 if twin.precision == "float32" else 5e-2)


# --- recalibrated -----------------------------------------------------------------------------------------------


def test_recalibrated_statistics_of_one_layer_are_means_over_batches_of_means_and_unbiased_variances() -> None:
    model = in_view(classifier(nn.BatchNorm2d(3)), "recalibrated")
    batches = [images(4, seed) for seed in range(3)]
    recalibrate(model, batches)
    inputs = [(batch - 0.5) / 0.25 for batch in batches]
    mean = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in inputs]).mean(0)
    layer = model.network
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    torch.testing.assert_close(layer.running_mean, mean)
    torch.testing.assert_close(layer.running_var, variance)
    x = images(2, seed=9)
    expected = ((x - 0.5) / 0.25 - mean.view(1, 3, 1, 1)) / (variance.view(1, 3, 1, 1) + layer.eps).sqrt()
    torch.testing.assert_close(model(x), expected * layer.weight.view(1, 3, 1, 1))
    torch.testing.assert_close(model(x)[:1], model(x[:1]), msg="they serve as population statistics")


@pytest.mark.parametrize("name", NETWORKS_WITH_BATCHNORM)
def test_recalibration_is_what_torch_calls_updating_the_norms(name: str) -> None:
    model = in_view(classifier(NETWORKS_WITH_BATCHNORM[name]()), "recalibrated")
    batches = [images(4, seed) for seed in range(3)]
    if name != "own":  # whose layer has a fixed momentum
        expected = copy.deepcopy(model)
        with torch.no_grad():
            for module in expected.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
            torch.optim.swa_utils.update_bn(batches, expected)
        recalibrate(model, batches)
        torch.testing.assert_close(model.state_dict(), expected.state_dict())
    else:
        recalibrate(model, batches)
    momenta = {m.momentum for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    assert None not in momenta
    assert not any(module.training for module in model.modules())
    once = copy.deepcopy(model)
    recalibrate(model, batches)
    assert all(torch.equal(a, b) for a, b in zip(once.state_dict().values(), model.state_dict().values(), strict=True))


# --- RobustNorm -------------------------------------------------------------------------------------------------


def robust(seed: int = 0) -> Classifier:
    layer = RobustNorm2d(3)
    layer.running_mean.copy_(torch.tensor([0.3, -0.2, 0.1]))
    return Classifier(layer, Provenance("robust"))


def test_the_views_of_robust_norm_differ_in_the_mean_and_share_the_range_of_the_batch() -> None:
    x, tracked, batch = images(), robust(), robust()
    take_robustnorm_view(tracked, "tracked")
    take_robustnorm_view(batch, "batch")
    scale = power_of_range(x, 0.2) + 1e-5
    torch.testing.assert_close(tracked(x), (x - torch.tensor([0.3, -0.2, 0.1]).view(1, 3, 1, 1)) / scale)
    torch.testing.assert_close(batch(x), (x - x.mean((0, 2, 3), keepdim=True)) / scale)
    assert tracked.batch_dependent
    assert batch.batch_dependent
    assert len({model.fingerprint for model in (robust(), tracked, batch)}) >= 2
    assert tracked.fingerprint != batch.fingerprint


# --- which models depend on their batch, and which views there are -------------------------------------------------


def test_models_that_depend_on_their_batch_show_it_in_their_layers() -> None:
    model = classifier(NETWORKS_WITH_BATCHNORM["ours"]())
    assert [in_view(model, view).batch_dependent for view in ("population", "batch", "recalibrated")] == [
        False, True, False,
    ]  # fmt: skip
    assert depends_on_batch(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)))
    assert not depends_on_batch(nn.Sequential(nn.InstanceNorm2d(3), nn.GroupNorm(1, 3)))
    assert depends_on_batch(NETWORKS.get("resnet20")(norm="rn", width=4))


def test_every_view_has_a_fingerprint_of_its_own_and_population_that_of_the_model() -> None:
    model = load_model("zoo:digits-resnet8-bn")
    prints = {view: in_view(model, view).fingerprint for view in ("population", "batch", "recalibrated")}
    assert prints["population"] == model.fingerprint
    assert len(set(prints.values())) == 3
    other = load_model("zoo:digits-resnet8-bn")
    take_batchnorm_view(other, "recalibrated", CALIBRATION._replace(sha256="b" * 64))
    assert other.fingerprint not in prints.values()


def test_recalibrated_statistics_are_no_part_of_the_fingerprint_for_they_follow_from_the_images() -> None:
    model = in_view(classifier(NETWORKS_WITH_BATCHNORM["ours"]()), "recalibrated")
    before, state = model.fingerprint, State(model)
    recalibrate(model, [images()])
    assert state.changed
    assert model.fingerprint == before


def test_a_view_concerns_all_members_of_an_ensemble_that_have_such_layers() -> None:
    batch, plain = load_model("zoo:digits-resnet8-bn"), load_model("zoo:digits-resnet8-none")
    ensemble = Classifier(Ensemble([batch, plain], "logits"), Provenance("both"))
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    take_batchnorm_view(ensemble, "batch")
    alone = load_model("zoo:digits-resnet8-bn")
    take_batchnorm_view(alone, "batch")
    assert ensemble.batch_dependent
    torch.testing.assert_close(ensemble(x), (alone(x) + plain(x)) / 2)


@pytest.mark.parametrize("view", ["population", "batch", "recalibrated"])
def test_a_view_that_does_not_apply_is_refused(view: BatchNormView) -> None:
    for model in (
        load_model("zoo:digits-resnet8-gn"),
        Classifier(nn.BatchNorm2d(3, track_running_stats=False), Provenance("x")),
    ):
        with pytest.raises(HarnessError, match=f'bn = "{view}": .* has no BatchNorm layer with running statistics'):
            take_batchnorm_view(model, view)
    with pytest.raises(HarnessError, match='rn = "tracked": zoo:digits-resnet8-bn has no RobustNorm layer'):
        take_robustnorm_view(load_model("zoo:digits-resnet8-bn"), "tracked")
