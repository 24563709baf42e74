"""Which parts of a network a training may change."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.core.errors import HarnessError
from harness.models.networks.robust_norm import RobustNorm2d
from harness.models.recipe import Changes, Part

NORM_LAYERS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d, RobustNorm2d)


def restrict(network: nn.Module, changes: Changes) -> list[nn.Parameter]:
    """Let only the named parameters learn, reset statistics if asked to, and return what learns.

    Raises:
        HarnessError: when a named part does not exist, or nothing can change.
    """
    chosen = {id(parameter): parameter for part in changes.parameters for parameter in parameters_of(network, part)}
    if not chosen and not any(tracking_layers(network)):
        raise HarnessError(
            "recipe.changes.parameters: [] changes running statistics alone, and the network has none.\n"
            '     name parts that may learn, such as "norm" or "logits"'
        )
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    if changes.statistics == "reset":
        for layer in tracking_layers(network):
            layer.reset_running_stats()
    return list(chosen.values())


def set_training_mode(network: nn.Module, changes: Changes) -> None:
    """Train mode, in which frozen statistics stay as they are; BatchNorm uses them, RobustNorm tracks them only."""
    network.train()
    if changes.statistics == "frozen":
        for layer in tracking_layers(network):
            layer.eval()


def tracking_layers(network: nn.Module) -> Iterator[_BatchNorm | RobustNorm2d]:
    """The layers with running statistics: means and variances of BatchNorm, means of RobustNorm."""
    for module in network.modules():
        if isinstance(module, RobustNorm2d) or (isinstance(module, _BatchNorm) and module.track_running_stats):
            yield module


def parameters_of(network: nn.Module, part: Part) -> list[nn.Parameter]:
    """The parameters of a part. Raises HarnessError when the network has none."""
    match part:
        case "all":
            found = list(network.parameters())
        case "norm":
            layers = [module for module in network.modules() if isinstance(module, NORM_LAYERS)]
            found = [parameter for layer in layers for parameter in layer.parameters()]
        case "logits":
            linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
            found = list(linear[-1].parameters()) if linear else []
        case "conv1":
            convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
            found = list(convolutions[0].parameters()) if convolutions else []
    if not found:
        raise HarnessError(f'recipe.changes.parameters: the network has no parameters of the part "{part}"')
    return found
