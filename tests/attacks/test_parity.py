"""The same attack by other libraries gives the same images.

torchattacks averages its loss over the batch and we sum ours; eight samples make that an exact factor of 1/8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchattacks
from foolbox.attacks.basic_iterative_method import LinfBasicIterativeAttack
from foolbox.attacks.fast_gradient_method import L2FastGradientAttack, LinfFastGradientAttack
from foolbox.attacks.projected_gradient_descent import (
    L2ProjectedGradientDescentAttack,
    LinfProjectedGradientDescentAttack,
)
from foolbox.criteria import Misclassification, TargetedMisclassification
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Samples, Setting
from harness.core.threat import ThreatModel

Craft = Callable[..., Crafted]

LINF = ThreatModel("linf", 8 / 255)
L2 = ThreatModel("l2", 0.5)

OURS_AND_TORCHATTACKS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("fgsm", {}, "FGSM", {}),
    ("bim", {"step_size": 2 / 255}, "BIM", {}),
    ("i-fgsm", {"steps": 4, "step_size": 3 / 255}, "BIM", {"steps": 4, "alpha": 3 / 255}),
    ("pgd", {"steps": 10, "step_size": 2 / 255, "random_start": False}, "PGD", {"random_start": False}),
    ("mi-fgsm", {"step_size": 2 / 255}, "MIFGSM", {}),
    ("mi-fgsm", {"step_size": 2 / 255, "decay": 0.5}, "MIFGSM", {"decay": 0.5}),
    ("ni-fgsm", {"step_size": 2 / 255}, "NIFGSM", {}),
    ("ni-fgsm", {"step_size": 2 / 255, "decay": 0.5}, "NIFGSM", {"decay": 0.5}),
    ("ni-si-fgsm", {"step_size": 2 / 255}, "SINIFGSM", {}),
    ("ni-si-fgsm", {"step_size": 2 / 255, "copies": 3}, "SINIFGSM", {"m": 3}),
    ("ti-fgsm", {"step_size": 2 / 255}, "TIFGSM", {"diversity_prob": 0.0}),
    ("mi-ti-fgsm", {"step_size": 2 / 255}, "TIFGSM", {"diversity_prob": 0.0, "decay": 1.0}),
    (
        "ti-fgsm",
        {"step_size": 2 / 255, "kernel_size": 7, "kernel": "linear"},
        "TIFGSM",
        {"diversity_prob": 0.0, "len_kernel": 7, "kernel_name": "linear"},
    ),
    (
        "ti-fgsm",
        {"step_size": 2 / 255, "kernel_size": 5, "kernel": "uniform"},
        "TIFGSM",
        {"diversity_prob": 0.0, "len_kernel": 5, "kernel_name": "uniform"},
    ),
    ("mi-di-fgsm", {"step_size": 2 / 255, "probability": 0.0}, "DIFGSM", {"diversity_prob": 0.0, "decay": 1.0}),
]


def assert_equal_images(ours: Tensor, theirs: Tensor, clean: Tensor) -> None:
    assert not torch.equal(theirs, clean)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "theirs", "their_arguments"),
    OURS_AND_TORCHATTACKS,
    ids=[f"{ours}-{theirs}-{'-'.join(arguments)}" for ours, arguments, theirs, _ in OURS_AND_TORCHATTACKS],
)
@pytest.mark.parametrize("goal", ["untargeted", "next"])
def test_images_equal_those_of_torchattacks(
    name: str,
    arguments: dict[str, Any],
    theirs: str,
    their_arguments: dict[str, Any],
    goal: Any,
    network: nn.Module,
    samples: Samples,
    craft: Craft,
) -> None:
    wanted = samples.classes if goal == "untargeted" else (samples.classes + 1) % 5
    reference = getattr(torchattacks, theirs)(network, eps=8 / 255, **their_arguments)
    if goal != "untargeted":
        reference.set_mode_targeted_by_label(quiet=True)
    attack = ATTACKS.get(name)(**arguments)
    setting = Setting(ThreatModel("linf", 8 / 255, goal))
    ours = craft(attack, network, Samples(samples.images, wanted, samples.indices), setting).adversarial
    assert_equal_images(ours, reference(samples.images, wanted), samples.images)


def test_l2_images_equal_those_of_torchattacks(network: nn.Module, samples: Samples, craft: Craft) -> None:
    reference = torchattacks.PGDL2(network, eps=0.5, alpha=0.1, steps=10, random_start=False)
    attack = ATTACKS.get("pgd")(steps=10, step_size=0.1, random_start=False)
    ours = craft(attack, network, samples, Setting(L2)).adversarial
    assert_equal_images(ours, reference(samples.images, samples.classes), samples.images)


@pytest.mark.parametrize(
    ("threat", "name", "arguments", "reference"),
    [
        (LINF, "fgsm", {}, LinfFastGradientAttack(random_start=False)),
        (L2, "fgsm", {}, L2FastGradientAttack(random_start=False)),
        (
            LINF,
            "pgd",
            {"steps": 12, "step_size": "eps/5", "random_start": False},
            LinfProjectedGradientDescentAttack(rel_stepsize=0.2, steps=12, random_start=False),
        ),
        (
            L2,
            "pgd",
            {"steps": 12, "step_size": "eps/5", "random_start": False},
            L2ProjectedGradientDescentAttack(rel_stepsize=0.2, steps=12, random_start=False),
        ),
        (
            LINF,
            "bim",
            {"steps": 10, "step_size": 0.01},
            LinfBasicIterativeAttack(abs_stepsize=0.01, steps=10, random_start=False),
        ),
    ],
    ids=["fgsm-linf", "fgsm-l2", "pgd-linf", "pgd-l2", "bim-linf"],
)
def test_images_equal_those_of_foolbox(
    threat: ThreatModel,
    name: str,
    arguments: dict[str, Any],
    reference: Any,
    network: nn.Module,
    samples: Samples,
    craft: Craft,
) -> None:
    model = PyTorchModel(network, bounds=(0, 1), device="cpu")
    criterion = Misclassification(samples.classes)
    theirs = reference.run(model, samples.images, criterion, epsilon=threat.epsilon)
    ours = craft(ATTACKS.get(name)(**arguments), network, samples, Setting(threat)).adversarial
    assert_equal_images(ours, theirs, samples.images)


def test_targeted_images_equal_those_of_foolbox(network: nn.Module, samples: Samples, craft: Craft) -> None:
    wanted = (samples.classes + 2) % 5
    model = PyTorchModel(network, bounds=(0, 1), device="cpu")
    criterion = TargetedMisclassification(wanted)
    reference = L2ProjectedGradientDescentAttack(rel_stepsize=0.2, steps=12, random_start=False)
    theirs = reference.run(model, samples.images, criterion, epsilon=0.5)
    attack = ATTACKS.get("pgd")(steps=12, step_size="eps/5", random_start=False)
    setting = Setting(ThreatModel("l2", 0.5, "next"))
    ours = craft(attack, network, Samples(samples.images, wanted, samples.indices), setting).adversarial
    assert_equal_images(ours, theirs, samples.images)
