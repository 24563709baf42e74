"""Adversarial training: PGD against the network as it is now, by the same loop that attacks finished models."""

from __future__ import annotations

from torch import Tensor, nn

from harness.attacks import Model, Samples, Setting
from harness.attacks.loop import GradientAttack
from harness.core.threat import ThreatModel
from harness.models.recipe import AdversarialTraining


def adversarial_images(
    network: nn.Module, model: Model, samples: Samples, recipe: AdversarialTraining, *, seed: int, epoch: int
) -> Tensor:
    """(N, C, H, W) images that raise the network's loss, inside the recipe's ball (Madry et al. 2018).

    Args:
        network: set to the recipe's mode while it is attacked; in train mode its running statistics move.
        model: the network's forward pass.
        samples: a batch of augmented images.
        recipe: budget, steps, mode.
        seed: of the random start.
        epoch: part of the random start: every epoch draws others.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.train(recipe.mode == "train")
    attack = GradientAttack(recipe.steps, recipe.step_size, random_start=True)
    setting = Setting(ThreatModel(recipe.norm, recipe.epsilon), seed, len(samples), run=epoch)
    # No sample stops early, so all of them finish with the last step, in their order.
    (crafted,) = attack.craft(model, samples, setting)
    for module, training in modes:
        module.training = training
    return crafted.adversarial
