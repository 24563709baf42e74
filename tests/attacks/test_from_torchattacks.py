"""The fence around torchattacks: what goes in comes out as it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.attacks import Crafted, Samples, Setting
from harness.attacks.fence import Steady
from harness.attacks.from_torchattacks import OTHER_NORMS, TorchattacksAttack, factory_of
from harness.attacks.resolve import resolve, sweep
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.registry import parameters_of
from harness.core.threat import Goal, Norm, ThreatModel

Craft = Callable[..., Crafted]

EPSILONS: dict[Norm, float] = {"linf": 6 / 255, "l2": 0.75}

FEW_STEPS: dict[str, dict[str, Any]] = {
    "FGSM": {},
    "PGD": {"steps": 3},
    "MIFGSM": {"steps": 3},
    "PGDL2": {"steps": 3},
    "CW": {"steps": 20, "lr": 0.1},
    "DeepFool": {"steps": 10},
    "Square": {"n_queries": 200},
    "APGD": {"steps": 4},
    "FAB": {"steps": 4},
    "PIFGSM": {"num_iter_set": 3},
    "SPSA": {"nb_sample": 4},
    "AutoAttack": {"version": "rand", "n_classes": 5},
}
RANDOM = ["PGD", "PGDL2", "APGD", "Square", "SPSA", "AutoAttack"]

CASES = [(name, norm) for name in FEW_STEPS for norm in EPSILONS if norm in factory_of(name)().norms]


def run(
    name: str, norm: Norm, network: nn.Module, samples: Samples, craft: Craft, goal: Goal = "untargeted", **setting: Any
) -> Crafted:
    threat = ThreatModel(norm, EPSILONS[norm], goal)
    (arguments,) = sweep(f"torchattacks:{name}", None, FEW_STEPS[name])
    attack = resolve(f"torchattacks:{name}", arguments, threat, {}).attack
    return craft(attack, network, samples, Setting(threat, **setting))


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_images_keep_to_the_threat_model(
    name: str, norm: Norm, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    adversarial = run(name, norm, network, samples, craft).adversarial
    ball = ball_of(ThreatModel(norm, EPSILONS[norm]))
    assert 0 <= adversarial.min() <= adversarial.max() <= 1
    assert ball.distance(samples.images, adversarial).max() <= ball.epsilon * (1 + 1e-6) + 2**-24
    assert not torch.equal(adversarial, samples.images)


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_results_repeat_with_the_seed_and_change_with_it_where_the_attack_is_random(
    name: str, norm: Norm, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    first = run(name, norm, network, samples, craft, seed=1).adversarial
    torch.manual_seed(99)
    assert torch.equal(run(name, norm, network, samples, craft, seed=1).adversarial, first)
    if name in RANDOM:
        assert not torch.equal(run(name, norm, network, samples, craft, seed=2).adversarial, first)


class TrainingWithFrozenNorm(nn.Module):
    """In train mode as a whole, with one BatchNorm in train mode, another frozen, and dropout switched off."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.live, self.frozen = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)
        self.last = nn.Linear(4, 5)
        self.train()
        self.frozen.eval()
        self.dropout.eval()

    def forward(self, images: Tensor) -> Tensor:
        features = self.frozen(torch.tanh(self.live(self.first(images))))
        logits: Tensor = self.last(self.dropout(features.mean((2, 3))))
        return logits


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_model_and_every_generator_are_left_as_they_were(
    name: str, norm: Norm, samples: Samples, craft: Craft
) -> None:
    torch.manual_seed(5)
    model = TrainingWithFrozenNorm()
    model.first.weight.requires_grad_(False)
    model.last.weight.grad = torch.ones_like(model.last.weight)
    flags = {path: part.training for path, part in model.named_modules()}
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    generators = torch.random.get_rng_state(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    run(name, norm, model, samples, craft)
    assert {path: part.training for path, part in model.named_modules()} == flags
    assert model.state_dict().keys() == state.keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[key]), key
    assert [p.requires_grad for p in model.parameters()] == [False, *[True] * 7]
    assert [key for key, p in model.named_parameters() if p.grad is not None] == ["last.weight"]
    assert torch.equal(torch.random.get_rng_state(), generators[0])
    assert (random.getstate(), repr(np.random.get_state())) == generators[1:]  # noqa: NPY002


def test_layers_keep_their_modes_while_the_attack_runs(samples: Samples, craft: Craft) -> None:
    model = TrainingWithFrozenNorm()
    seen: list[tuple[bool, bool, bool]] = []
    model.register_forward_pre_hook(
        lambda module, _: seen.append((model.live.training, model.frozen.training, model.dropout.training))
    )
    run("PGD", "linf", model, samples, craft)
    assert set(seen) == {(True, False, False)}


def test_a_steady_model_ignores_eval_and_train() -> None:
    model = nn.BatchNorm2d(3)
    steady = Steady(model)
    steady.eval()
    assert model.training
    model.eval()
    steady.train()
    assert not model.training


def test_a_targeted_attack_moves_towards_the_wanted_class(network: nn.Module, samples: Samples, craft: Craft) -> None:
    wanted = network(samples.images).topk(2).indices[:, 1]
    asked = Samples(samples.images, wanted, samples.indices)
    for name, norm in (("PGD", "linf"), ("MIFGSM", "linf"), ("PGDL2", "l2"), ("CW", "l2")):
        adversarial = run(name, norm, network, asked, craft, goal="next").adversarial  # type: ignore[arg-type]
        rise = network(adversarial).log_softmax(1) - network(samples.images).log_softmax(1)
        changed = (adversarial != samples.images).flatten(1).any(1)
        assert changed.any()
        assert (rise.gather(1, wanted[:, None])[changed] > 0).all()


@pytest.mark.parametrize("name", ["DeepFool", "APGD", "AutoAttack", "FAB"])
def test_a_goal_that_the_class_does_not_know_is_refused(name: str) -> None:
    threat = ThreatModel("l2", 0.5, "next")
    with pytest.raises(HarnessError, match=f"{name} has no targeted mode"):
        resolve(f"torchattacks:{name}", {}, threat, {})


@pytest.mark.parametrize("name", ["CW", "DeepFool"])
def test_a_minimal_perturbation_longer_than_the_budget_counts_as_no_attempt(
    name: str, network: nn.Module, samples: Samples, craft: Craft
) -> None:
    (arguments,) = sweep(f"torchattacks:{name}", None, FEW_STEPS[name])

    def at(epsilon: float) -> Tensor:
        threat = ThreatModel("l2", epsilon)
        attack = resolve(f"torchattacks:{name}", arguments, threat, {}).attack
        return craft(attack, network, samples, Setting(threat)).adversarial

    unbounded = at(1e6)
    lengths = (unbounded - samples.images).flatten(1).norm(dim=1)
    epsilon = lengths[lengths > 0].median().item() * 1.0001
    within = (lengths <= epsilon).view(-1, 1, 1, 1)
    assert 0 < within.sum() < len(samples)
    assert torch.equal(at(epsilon), torch.where(within, unbounded, samples.images))


def test_budget_norm_and_seed_are_no_keys_because_the_suite_gives_them() -> None:
    for name in FEW_STEPS:
        keys = parameters_of(factory_of(name))
        assert not {"model", "eps", "max_epsilon", "norm", "seed"} & set(keys), name
    with pytest.raises(HarnessError, match='eps: attack "torchattacks:PGD" has no such key'):
        sweep("torchattacks:PGD", None, {"eps": "8/255"})


def test_arguments_reach_the_class(network: nn.Module, samples: Samples, craft: Craft) -> None:
    threat = ThreatModel("linf", 8 / 255)
    (arguments,) = sweep("torchattacks:BIM", None, {"steps": 1, "alpha": "1/255"})
    attack = resolve("torchattacks:BIM", arguments, threat, {}).attack
    adversarial = craft(attack, network, samples, Setting(threat)).adversarial
    assert (adversarial - samples.images).abs().max().item() == pytest.approx(1 / 255, rel=1e-4)


def test_arguments_that_the_class_refuses_are_reported_before_anything_runs() -> None:
    with pytest.raises(HarnessError, match="TIFGSM refuses its arguments"):
        resolve("torchattacks:TIFGSM", {"kernel_name": "round"}, ThreatModel("linf", 0.1), {})


@pytest.mark.parametrize("name", sorted(OTHER_NORMS))
def test_attacks_in_other_norms_and_wrappers_are_not_offered(name: str) -> None:
    with pytest.raises(HarnessError, match=f'no attack "{name}" for the norms linf and l2'):
        factory_of(name)


class Firm(nn.Module):
    """Prefers its first class whatever happens, counts the images that it is asked about, and has other classes too."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.weights = torch.randn(classes, 48, generator=torch.Generator().manual_seed(0)) / 100
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return images.flatten(1) @ self.weights.T + 9 * (torch.arange(len(self.weights)) == 0)


def little(classes: int, count: int = 2) -> Samples:
    images = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return Samples(images, torch.zeros(count, dtype=torch.long), torch.arange(count))


ASKED: list[tuple[str, dict[str, Any], int]] = [
    ("FGSM", {}, 1),
    ("PGD", {"steps": 3}, 3),
    ("TPGD", {"steps": 3}, 3 + 1),
    ("EOTPGD", {"steps": 3, "eot_iter": 2}, 3 * 2),
    ("SINIFGSM", {"steps": 3, "m": 4}, 3 * 4),
    ("VMIFGSM", {"steps": 3, "N": 4}, 3 * (1 + 4)),
    ("PGDRS", {"steps": 3, "noise_batch_size": 4}, 3 * 4),
    ("SPSA", {"nb_iter": 3, "nb_sample": 4}, 3 * 2 * 4),
    ("PIFGSM", {"num_iter_set": 3}, 3),
    ("APGD", {"steps": 3, "n_restarts": 2}, 1 + 2 * (3 + 1)),
    ("APGDT", {"steps": 3, "n_classes": 4}, 1 + 3 * (1 + 3 + 1)),
    ("FAB", {"steps": 3}, 1 + 2 + 2 * 3),
    ("FAB", {"steps": 3, "multi_targeted": True, "n_classes": 4}, 1 + 3 * (3 + 2 * 3)),
    ("Square", {"n_queries": 3, "n_restarts": 2}, 1 + 2 * (3 + 2)),
    ("AutoAttack", {"version": "rand"}, 2 * (1 + 11 * 20 + 1)),
]


@pytest.mark.parametrize(("name", "given", "passes"), ASKED)
def test_passes_are_what_the_model_is_asked_and_planned_from_the_arguments(
    name: str, given: dict[str, Any], passes: int, craft: Craft
) -> None:
    model, threat = Firm(), ThreatModel("linf", 0.01)
    (arguments,) = sweep(f"torchattacks:{name}", None, given)
    attack = resolve(f"torchattacks:{name}", arguments, threat, {}).attack
    assert craft(attack, model, little(5), Setting(threat)).passes.tolist() == [passes, passes]
    assert attack.cost(Setting(threat)) == passes
    assert model.asked - 2 * passes == (1 if "n_classes" in parameters_of(factory_of(name)) else 0), "how many classes"


def test_the_plan_of_autoattack_adds_up_its_members() -> None:
    setting, eleven = Setting(ThreatModel("linf", 0.01)), 10 + 1
    targeted = 1 + 4 * (1 + eleven) + 1 + 4 * (3 + 2 * 10)
    standard, plus = (factory_of("AutoAttack")(version=v, n_classes=5).cost(setting) for v in ("standard", "plus"))
    assert standard == (1 + eleven) + targeted + (1 + 2 + 5000) + 4
    assert plus == 2 * (1 + 5 * eleven) + (1 + 5 * (2 + 2 * 10)) + targeted + (1 + 2 + 5000) + 6


@pytest.mark.parametrize("name", ["APGDT", "AutoAttack"])
@pytest.mark.parametrize("classes", [2, 3])
def test_models_with_fewer_classes_than_its_loss_looks_at_are_refused(name: str, classes: int, craft: Craft) -> None:
    with pytest.raises(HarnessError, match=f'{name} needs a model with at least 4 .* has {classes}; .*"apgd-t"'):
        craft(factory_of(name)(), Firm(classes), little(classes), Setting(ThreatModel("linf", 0.01)))


def test_no_more_classes_are_aimed_at_than_the_model_has(craft: Craft) -> None:
    setting = Setting(ThreatModel("linf", 0.01))
    for classes, aims in ((4, 3), (12, 9)):
        result = craft(factory_of("APGDT")(steps=1), Firm(classes), little(classes), setting)
        assert result.passes.tolist() == [1 + aims * (1 + 2)] * 2


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("PGD", {"steps": 0}, "steps: .*greater than or equal to 1"),
        ("VMIFGSM", {"N": -1}, "N: .*greater than or equal to 1"),
        ("EOTPGD", {"eot_iter": 2.5}, "eot_iter: .*integer"),
        ("DIFGSM", {"diversity_prob": 2.0}, "diversity_prob: .*less than or equal to 1"),
        ("CW", {"c": "much"}, "c: .*is not a number"),
        ("CW", {"kappa": True}, "kappa: .*is not a number"),
    ],
)
def test_counts_begin_at_one_probabilities_end_at_one_and_measures_are_numbers(
    name: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(HarnessError, match=message):
        sweep(f"torchattacks:{name}", None, given)


def test_a_measure_may_be_a_fraction_though_its_default_is_whole() -> None:
    (given,) = sweep("torchattacks:CW", None, {"c": 0.1, "kappa": "1/2"})
    assert given == {"c": 0.1, "kappa": 0.5}
    (whole,) = sweep("torchattacks:Jitter", None, {"scale": 4})
    assert repr(whole["scale"]) == "4", "as it was given, so that the question is the same as ever"


def test_the_version_is_that_of_the_package() -> None:
    assert factory_of("PGD")().version == f"torchattacks-{version('torchattacks')}"


@pytest.mark.parametrize(("share", "brought_back"), [(0.5, False), (1 + 5e-5, True), (1.01, False)])
def test_what_leaves_the_ball_by_rounding_alone_is_brought_back(share: float, brought_back: bool, craft: Craft) -> None:
    class Shifting(TorchattacksAttack):
        def _run(self, model: nn.Module, images: Tensor, classes: Tensor, threat: ThreatModel, seed: int) -> Tensor:
            return images.add(share * threat.epsilon / images[0].numel() ** 0.5)

    samples, threat = little(2), ThreatModel("l2", 0.5)
    grey = replace(samples, images=torch.full_like(samples.images, 0.5))
    made = craft(Shifting("PGDL2", {}, frozenset({"l2"})), Firm(), grey, Setting(threat)).adversarial
    lengths = ball_of(threat).distance(grey.images, made)
    assert (lengths <= threat.epsilon * (1 + 1e-6)).all().item() is (brought_back or share < 1)
    assert torch.equal(made, grey.images + share * 0.5 / grey.images[0].numel() ** 0.5) is not brought_back
