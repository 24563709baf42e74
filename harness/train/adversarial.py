"""Adversarial training: PGD against the network as it is now, by the same loop that attacks finished models."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from harness.attacks import Samples, Setting
from harness.attacks.loop import GradientAttack
from harness.core.threat import ThreatModel
from harness.models.classifier import Classifier
from harness.models.recipe import AdversarialTraining
from harness.models.rewrite import rewrite
from harness.train.passes import ForwardPass


def adversarial_images(
    network: nn.Module, model: ForwardPass, samples: Samples, recipe: AdversarialTraining, *, seed: int, epoch: int
) -> Tensor:
    """(N, C, H, W) images that raise the network's loss, inside the recipe's ball (Madry et al. 2018).

    In eval mode, a copy of the network is attacked instead, with the same function and cheaper passes, unless passes
    are compiled. Otherwise layers stay in the modes that they are in, and running statistics that are not frozen move.

    Args:
        network: in training.
        model: the network's forward pass.
        samples: a batch of augmented images.
        recipe: budget, steps, mode.
        seed: of the random start.
        epoch: part of the random start: every epoch draws others.
    """
    attack = GradientAttack(recipe.steps, recipe.step_size, random_start=True)
    setting = Setting(ThreatModel(recipe.norm, recipe.epsilon), seed, len(samples), run=epoch)
    modes = [(module, module.training) for module in network.modules()]
    if recipe.mode == "eval":
        network.eval()
        if not model.compiled:
            model = model.through(frozen_copy(network))
    # No sample stops early, so all of them finish with the last step, in their order.
    (crafted,) = attack.craft(model, samples, setting)
    for module, training in modes:
        module.training = training
    return crafted.adversarial


def frozen_copy(network: nn.Module) -> nn.Module:
    """The network as it is now in eval mode, which asks for no gradients of parameters; BatchNorm is folded away.

    For PGD-7 on a ResNet-20 in batches of 128, making it costs 23 ms and saves 350 of 1,300 ms on a CPU core.
    """
    twin = copy.deepcopy(network).eval().requires_grad_(False)
    if isinstance(twin, Classifier):
        rewrite(twin)
    return twin
