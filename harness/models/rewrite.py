"""Rewrites of a network's graph that leave its logits as they are and make its passes cheaper.

BatchNorm layers are folded into the convolutions before them, and ReLUs overwrite what nobody reads again. Only a
network that `torch.fx` can trace is rewritten.
"""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from harness.models.classifier import Classifier
from harness.models.ensemble import Ensemble

OVERWRITABLE_LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.GroupNorm)
"""Layers whose backward pass does not need their output."""

OVERWRITABLE_FUNCTIONS = (operator.add, torch.add)
"""Functions whose backward pass does not need their output."""

RELUS = (F.relu, torch.relu)


def rewrite(classifier: Classifier) -> int:
    """Rewrite a classifier's network in place. Returns how many BatchNorm layers were folded away."""
    if isinstance(classifier.network, Ensemble):
        return sum(rewrite(member) for member in classifier.network.members if isinstance(member, Classifier))
    try:
        graph = fx.symbolic_trace(classifier.network)
    except Exception:  # noqa: BLE001 - tracing runs foreign code, which may raise anything; untraceable means unchanged
        return 0
    folded = fold_batchnorm(graph)
    if folded + overwrite_before_relus(graph):
        graph.recompile()
        graph.delete_all_unused_submodules()
        classifier.network = graph.eval().requires_grad_(False)
    return folded


def fold_batchnorm(graph: fx.GraphModule) -> int:
    """Replace every convolution followed by a BatchNorm alone with one convolution. Returns how many.

    Only layers in eval mode with running statistics are folded, and only where nothing else reads or shares the layer
    in front, and neither has hooks: these may do anything, such as making a layer's weights anew before it runs
    (pruning, weight and spectral normalization).
    """
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
        if has_hooks(layer) or has_hooks(norm):
            continue
        _replace_module(graph, str(source.target), fuse_conv_bn_eval(layer, norm))
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
        folded += 1
    return folded


def overwrite_before_relus(graph: fx.GraphModule) -> int:
    """Let every ReLU overwrite its input where nothing else reads that. Returns how many."""
    modules = dict(graph.named_modules())
    overwriting = 0
    for node in graph.graph.nodes:
        if _is_relu(node, modules) and _is_overwritable(node.args[0], modules):
            node.op, node.target, node.args, node.kwargs = "call_function", F.relu, node.args[:1], {"inplace": True}
            overwriting += 1
    return overwriting


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if not node.args:
        return False
    if node.op == "call_module":
        layer = modules[str(node.target)]
        return type(layer) is nn.ReLU and not has_hooks(layer)
    return (node.op == "call_function" and node.target in RELUS) or (node.op == "call_method" and node.target == "relu")


def _is_overwritable(source: object, modules: dict[str, nn.Module]) -> bool:
    if not isinstance(source, fx.Node) or len(source.users) != 1:
        return False
    if source.op == "call_module":
        layer = modules[str(source.target)]
        return type(layer) in OVERWRITABLE_LAYERS and not has_hooks(layer)
    return source.op == "call_function" and source.target in OVERWRITABLE_FUNCTIONS


def has_hooks(layer: nn.Module) -> bool:
    """Whether something is called whenever the layer runs, forwards or backwards."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(layer, kind) for kind in hooks)


def _is_plain_batchnorm(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d and not module.training and module.running_mean is not None


def _replace_module(graph: fx.GraphModule, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(graph.get_submodule(parent), name, module)
