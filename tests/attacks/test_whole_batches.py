"""Attacks on models whose predictions depend on the batch ask about whole batches, or say that they do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import ATTACKS, Samples, Setting
from harness.attacks.resolve import find_factory, resolve, sweep
from harness.attacks.whole_batches import asked_whole, keeps_batches_whole
from harness.core.errors import HarnessError
from harness.core.registry import parameters_of
from harness.core.threat import Norm, ThreatModel
from harness.models.classifier import Classifier, Provenance
from harness.models.ensemble import Ensemble
from harness.models.views import take_batchnorm_view

SMALL: dict[str, Any] = {
    "steps": 4, "queries": 30, "n_queries": 30, "targets": 2, "copies": 2, "largest": 1.5, "neighbours": 2,
    "mixtures": 2, "scales": 2, "learning_rate": 0.5, "restarts": 2, "binary_search_steps": 2,
}  # fmt: skip

BATCH = 6


def network(seed: int = 0) -> Classifier:
    """Eleven classes (torchattacks aims at ten), with a norm that looks at the batch."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Tanh(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(128, 11),
        )  # fmt: skip
    model = Classifier(layers, Provenance("test"))
    take_batchnorm_view(model, "batch")
    return model


def samples(model: nn.Module) -> Samples:
    """Two of them are wrong from the start."""
    images = torch.rand(BATCH, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        classes = model(images).argmax(1)
    classes[:2] = (classes[:2] + 1) % 11
    return Samples(images, classes, torch.arange(BATCH))


def attack(name: str, **given: Any) -> tuple[Any, ThreatModel]:
    parameters = parameters_of(find_factory(name))
    arguments = {key: value for key, value in SMALL.items() if key in parameters} | given
    (checked,) = sweep(name, None, arguments)
    epsilons: dict[Norm, float] = {"linf": 0.1, "l2": 2.0, "l1": 20.0}
    built = find_factory(name)(**checked)
    threat = next(ThreatModel(norm, epsilon) for norm, epsilon in epsilons.items() if norm in built.norms)
    return resolve(name, checked, threat, {}).attack, threat


def run(name: str, model: nn.Module, **given: Any) -> Tensor:
    """(B, C, H, W) what an attack proposes while it is held to its word."""
    made, threat = attack(name, **given)
    asked = samples(model)
    setting = Setting(threat, batch_size=BATCH, pool=asked)
    with asked_whole(model, BATCH, name):
        parts = list(made.craft(model, asked, setting))
    order = torch.cat([part.rows for part in parts]).argsort()
    return torch.cat([part.adversarial for part in parts])[order]


def whole() -> list[str]:
    foreign = [f"torchattacks:{name}" for name in ("FGSM", "PGD", "MIFGSM", "VMIFGSM", "SINIFGSM", "CW", "Jitter")]
    return [name for name in (*ATTACKS.names(), *foreign) if keeps_batches_whole(attack(name)[0])]


@pytest.mark.parametrize("name", whole())
def test_an_attack_that_says_so_asks_about_whole_batches(name: str) -> None:
    model = network()
    assert run(name, model).shape == (BATCH, 3, 16, 16)


def test_the_gradient_family_and_apgd_say_so() -> None:
    assert {"fgsm", "pgd", "mi-fgsm", "mi-di-ti-fgsm", "apgd-ce", "apgd-dlr", "apgd-t"} <= set(whole())


@pytest.mark.parametrize("name", ["rays", "deepfool", "cw", "torchattacks:Square", "torchattacks:FAB"])
def test_an_attack_that_takes_batches_apart_says_nothing_and_would_be_caught(name: str) -> None:
    assert not keeps_batches_whole(attack(name)[0])
    with pytest.raises(HarnessError, match=f'attack "{name}" asked about . images of a batch of {BATCH} at once'):
        run(name, network())


def test_composed_attacks_and_searches_that_compare_points_of_one_sample_say_nothing() -> None:
    for name in ("autoattack", "torchattacks:AutoAttack", "fab", "fab-t", "square"):
        assert not keeps_batches_whole(attack(name)[0])


def test_some_arguments_decide() -> None:
    assert keeps_batches_whole(attack("cw", abort_early=False)[0])
    assert run("cw", network(), abort_early=False).shape == (BATCH, 3, 16, 16)
    assert not keeps_batches_whole(attack("di-fgsm", restore=False)[0])
    with pytest.raises(HarnessError, match="asked about"):
        run("di-fgsm", network(), restore=False)


def test_members_of_an_ensemble_are_watched_where_attacks_ask_them() -> None:
    ensemble = Classifier(Ensemble([network(), network(1)], "loss"), Provenance("both"))
    assert run("pgd", ensemble).shape == (BATCH, 3, 16, 16)
    with asked_whole(ensemble, BATCH, "mine"), pytest.raises(HarnessError, match='attack "mine" asked about 2 images'):
        ensemble.network.members[1](torch.rand(2, 3, 16, 16))  # type: ignore[operator,index]
    ensemble(torch.rand(2, 3, 16, 16))
