"""The fast twin of a model, for crafting only. Judging always asks the original.

BatchNorm layers are folded into the convolutions before them and memory is laid out channels-last. The twin is
compared with the original on real images first; one that deviates is not used.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from harness.models.classifier import Classifier, undisturbed

LARGEST_DEVIATION = 1e-3
"""Of a folded network's logits, relative to the largest logit; float32 rounding gives about 1e-6."""


class Prepared(NamedTuple):
    """A model to craft with."""

    model: nn.Module
    """Images (N, C, H, W) in [0, 1] to logits (N, K)."""
    slack: float
    """Largest difference between its logits and the original's on real images, with a safety factor."""
    folded: int
    """Number of BatchNorm layers folded away."""


class ChannelsLast(nn.Module):
    """Hands images on in channels-last memory, in which convolutions run faster."""

    def __init__(self, model: nn.Module) -> None:
        """`model` has its weights in channels-last memory too."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the images."""
        logits: Tensor = self.model(images.contiguous(memory_format=torch.channels_last))
        return logits


def prepare(classifier: Classifier, images: Tensor) -> Prepared:
    """A fast twin of `classifier` that agrees with it on `images` (N, C, H, W).

    The classifier is left as it is. A network that cannot be traced or whose twin deviates is copied unfolded; one
    that cannot be copied is used as it is.
    """
    try:
        twin = copy.deepcopy(classifier)
    except Exception:  # noqa: BLE001 - copying runs foreign code, which may raise anything
        return Prepared(classifier, 0.0, 0)
    folded = fold_batchnorm(twin)
    deviation, scale = compare(classifier, in_channels_last(twin), images)
    if folded and not deviation <= LARGEST_DEVIATION * scale:
        twin.network = copy.deepcopy(classifier.network)
        folded = 0
        deviation, scale = compare(classifier, in_channels_last(twin), images)
    slack = 4 * deviation if deviation <= LARGEST_DEVIATION * scale else 0.0
    return Prepared(in_channels_last(twin), slack, folded)


def in_channels_last(model: Classifier) -> ChannelsLast:
    """A model that works in channels-last memory; its weights are laid out anew, in place."""
    return ChannelsLast(model.to(memory_format=torch.channels_last))


def compare(original: Classifier, twin: nn.Module, images: Tensor) -> tuple[float, float]:
    """Largest difference of two models' logits, and the largest logit. NaN where logits are not finite."""
    with torch.no_grad(), undisturbed(original):
        expected, logits = original(images), twin(images)
    return (expected - logits).abs().max().item(), expected.abs().max().item()


def fold_batchnorm(classifier: Classifier) -> int:
    """Replace every convolution followed by a BatchNorm alone with one convolution. Returns how many.

    Only layers in eval mode with running statistics are folded, and only where nothing else reads or shares the layer
    in front.
    """
    try:
        graph = fx.symbolic_trace(classifier.network)
    except Exception:  # noqa: BLE001 - tracing runs foreign code, which may raise anything; untraceable means unfolded
        return 0
    modules = dict(graph.named_modules())
    calls = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    folded = 0
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        source = node.args[0]
        norm = modules[str(node.target)]
        if not _is_plain_batchnorm(norm) or source.op != "call_module" or len(source.users) != 1:
            continue
        layer = modules[str(source.target)]
        if type(layer) is not nn.Conv2d or calls.count(str(source.target)) != 1 or calls.count(str(node.target)) != 1:
            continue
        _replace_module(graph, str(source.target), fuse_conv_bn_eval(layer, norm))
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
        folded += 1
    if folded:
        graph.recompile()
        graph.delete_all_unused_submodules()
        classifier.network = graph.eval().requires_grad_(False)
    return folded


def _is_plain_batchnorm(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d and not module.training and module.running_mean is not None


def _replace_module(graph: fx.GraphModule, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(graph.get_submodule(parent), name, module)
