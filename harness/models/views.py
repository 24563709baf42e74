"""Views of a model: with which statistics its normalization layers run when it is evaluated.

BatchNorm (Ioffe & Szegedy 2015), with unchanged weights:

- population: the running statistics that training left behind;
- batch: mean and variance of the batch at hand (Awais et al. 2020);
- recalibrated: running statistics averaged anew over clean images.

RobustNorm (Awais et al. 2020) divides by the range of the batch at hand in every view; "batch" also subtracts that
batch's mean, "tracked" the one that training left behind.

A view concerns every layer of its kind, those in the members of an ensemble included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.core.errors import HarnessError
from harness.models.networks.robust_norm import RobustNorm2d

if TYPE_CHECKING:
    from harness.models.classifier import Classifier

BatchNormView = Literal["population", "batch", "recalibrated"]
RobustNormView = Literal["batch", "tracked"]

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Buffers of a BatchNorm layer that recalibration computes."""


class Calibration(NamedTuple):
    """The clean images of a recalibration, as records remember them."""

    name: str
    """How reports name them."""
    images: int
    """How many."""
    batch_size: int
    """How many at once: the variance within a batch depends on it."""
    sha256: str
    """Their fingerprint."""


def depends_on_batch(network: nn.Module) -> bool:
    """Whether an image's logits depend on the other images of its batch, as far as the layers of a network show."""
    return any(
        isinstance(layer, RobustNorm2d) or (isinstance(layer, _BatchNorm) and layer.running_mean is None)
        for layer in network.modules()
    )


def take_batchnorm_view(model: Classifier, view: BatchNormView, calibration: Calibration | None = None) -> None:
    """Put the BatchNorm layers of a model into a view, in place.

    Args:
        model: the model; a recalibrated one still has its old statistics until `recalibrate` is called.
        view: which statistics.
        calibration: the clean images of the view "recalibrated".

    Raises:
        HarnessError: when no layer has running statistics, which every view starts from.
    """
    layers = {name: layer for name, layer in model.named_modules() if _has_statistics(layer)}
    if not layers:
        raise HarnessError(f'bn = "{view}": {model.provenance.id} has no BatchNorm layer with running statistics')
    if view == "batch":
        for layer in layers.values():
            _use_batch_statistics(layer)
        note_view(model, bn=view)
    elif view == "recalibrated":
        model.recomputed = frozenset(f"{name}.{key}" for name in layers for key in STATISTICS)
        note_view(model, bn=view)
        if calibration:
            note_view(model, calibration=calibration.sha256, batch_size=calibration.batch_size)
            model.provenance.details["calibration"] = calibration._asdict()


def take_robustnorm_view(model: Classifier, view: RobustNormView) -> None:
    """Put the RobustNorm layers of a model into a view, in place. Raises HarnessError when it has none."""
    layers = [layer for layer in model.modules() if isinstance(layer, RobustNorm2d)]
    if not layers:
        raise HarnessError(f'rn = "{view}": {model.provenance.id} has no RobustNorm layer')
    for layer in layers:
        layer.view = view
    note_view(model, rn=view)


@torch.no_grad()
def recalibrate(model: Classifier, batches: Iterable[Tensor]) -> None:
    """Replace running statistics by plain means of those of the batches, in place; weights stay.

    While the batches pass, every BatchNorm layer normalizes with the batch's own statistics, as in training, and all
    other layers are in eval mode. Means have the batch's unbiased variance as training's do.

    Args:
        model: in the view "recalibrated".
        batches: (N, C, H, W) float32 clean images in [0, 1].
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and _has_statistics(layer)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        # Not `train()`, which would switch an activation or dropout inside the layer.
        layer.training = True
    for images in batches:
        model(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.training = False


def _has_statistics(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm) and layer.running_mean is not None


def _use_batch_statistics(layer: nn.Module) -> None:
    """Without running statistics, a layer takes those of the batch, whatever mode the model is put in.

    Layers that look at their mode alone are in training mode while they run.
    """
    layer.track_running_stats = False  # type: ignore[assignment]
    for key in STATISTICS:
        setattr(layer, key, None)
    layer.register_forward_pre_hook(_enter_training)
    layer.register_forward_hook(_leave_training, always_call=True)


def _enter_training(layer: nn.Module, inputs: Any) -> None:
    layer.training = True


def _leave_training(layer: nn.Module, inputs: Any, outputs: Any) -> None:
    layer.training = False


def note_view(model: Classifier, **view: Any) -> None:
    """Let the model's provenance, and with it the fingerprint, name the view."""
    details = model.provenance.details
    model.provenance = replace(model.provenance, details={**details, "view": {**details.get("view", {}), **view}})
