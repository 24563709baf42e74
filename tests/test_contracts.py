"""What every registered attack promises. To register is to be tested."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Iterator
from functools import cache
from inspect import Parameter
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import harness.attacks.autoattack
from harness.attacks import ATTACKS, PRESETS, Attack, Crafted, Samples, Setting
from harness.attacks.apgd import APGD
from harness.attacks.cascade import Cascade
from harness.attacks.fab import fab_t
from harness.attacks.resolve import resolve, sweep
from harness.attacks.square import square
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.registry import first_line, parameters_of
from harness.core.threat import Goal, Norm, ThreatModel

NAMES = ATTACKS.names()

EPSILONS: dict[Norm, float] = {"linf": 8 / 255, "l2": 0.5, "l1": 4.0}

ALWAYS_RANDOM = ("apgd", "autoattack", "square")
"""Names of attacks that begin at random points whatever their parameters, by their beginnings."""

SEVERAL_BACKWARD = ("fab", "deepfool", "autoattack")
"""Names of attacks that take several gradients of one forward pass, each of which counts, by their beginnings."""

SMALL: dict[str, Any] = {
    "steps": 3, "queries": 40, "targets": 2, "copies": 2, "largest": 1.5, "neighbours": 2,
    "mixtures": 2, "scales": 2, "learning_rate": 0.5,
}  # fmt: skip
"""Few passes, and sizes that images of 16 pixels can show."""

ALTERNATIVES: dict[str, Any] = {
    "step_size": "eps/2", "fill": 0.5, "largest": 1.25, "steps": 1, "eta": 1.5, "candidates": 3, "confidence": 1.0,
}  # fmt: skip
"""Other values than the defaults, where halving or adding two would not do."""


@pytest.fixture(autouse=True, scope="module")
def small_ensembles() -> Iterator[None]:
    """AutoAttack with the same parts and small budgets: its own have no parameters."""

    def standard(norm: Norm) -> Cascade:
        return Cascade({
            "apgd-ce": APGD(steps=3), "apgd-t": APGD(steps=3, targets=2), "fab-t": fab_t(steps=2, targets=2),
            "square": square(queries=10),
        })  # fmt: skip

    def rand(norm: Norm) -> Cascade:
        return Cascade({"apgd-ce": APGD(steps=3, eot=2), "apgd-dlr": APGD(steps=3, loss="dlr", eot=2)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness.attacks.autoattack, "ENSEMBLES", {"standard": standard, "plus": rand, "rand": rand})
        yield


@cache
def network() -> nn.Sequential:
    """Images (N, 3, H, W) of any size to five logits, smoothly; has BatchNorm, dropout and unfrozen parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Tanh(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Softplus(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(128, 5),
        )  # fmt: skip
        layers(torch.rand(64, 3, 16, 16))
    return layers.eval()


@cache
def samples() -> Samples:
    """Ten images with pixels at both ends of the range, labelled as the network sees them."""
    images = (1.2 * torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.1).clamp(0, 1)
    with torch.no_grad():
        return Samples(images, network()(images).argmax(1), 1000 - 3 * torch.arange(10))


def configured(name: str, threat: ThreatModel, given: dict[str, Any] | None = None) -> Attack:
    """An attack with few passes."""
    parameters = parameters_of(ATTACKS.get(name))
    arguments = {key: value for key, value in SMALL.items() if key in parameters} | (given or {})
    (checked,) = sweep(name, None, arguments)
    return resolve(name, checked, threat, {}).attack


def craft(
    name: str,
    norm: Norm,
    asked: Samples,
    given: dict[str, Any] | None = None,
    goal: Goal = "untargeted",
    model: nn.Module | None = None,
    **setting: Any,
) -> Crafted:
    """Run an attack and put its results in the order of the samples."""
    threat = ThreatModel(norm, EPSILONS[norm], goal)
    attack = configured(name, threat, given)
    made = [part[:4] for part in attack.craft(model or network(), asked, Setting(threat, pool=samples(), **setting))]
    parts = [torch.cat(part) for part in zip(*made, strict=True)]
    order = parts[0].argsort()
    assert parts[0][order].tolist() == list(range(len(asked))), "every sample is yielded exactly once"
    return Crafted(*(part[order] for part in parts))


class Exact(nn.Module):
    """The network in double precision: its gradients do not depend on the batch in the last bits, nor their signs."""

    def __init__(self) -> None:
        super().__init__()
        self.network = copy.deepcopy(network()).double()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.double())
        return logits.float()


@cache
def usual(name: str, norm: Norm) -> Crafted:
    return craft(name, norm, samples())


def works(name: str, norm: Norm) -> bool:
    return norm in ATTACKS.get(name)().norms


EVERYWHERE = [(name, norm) for name in NAMES for norm in EPSILONS if works(name, norm)]
FIRST_NORM = [(name, next(norm for norm in EPSILONS if works(name, norm))) for name in NAMES]


def assert_in_the_threat_model(images: Tensor, adversarial: Tensor, norm: Norm) -> None:
    ball = ball_of(ThreatModel(norm, EPSILONS[norm]))
    assert adversarial.shape == images.shape
    assert adversarial.dtype == torch.float32
    assert not adversarial.requires_grad
    assert adversarial.isfinite().all()
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert ball.distance(images, adversarial).max() <= ball.epsilon * (1 + 1e-6) + 2**-24


def is_random(name: str) -> bool:
    return name.startswith(ALWAYS_RANDOM) or bool(
        {"random_start", "probability", "neighbours", "mixtures"} & set(parameters_of(ATTACKS.get(name)))
    )


def knows(name: str, goal: Goal) -> bool:
    """Whether an attack accepts a goal."""
    try:
        ATTACKS.get(name)().resolved(ThreatModel("linf", 0.1, goal))
    except HarnessError:
        return False
    return True


@pytest.mark.parametrize(("goal", "stop_when_fooled"), [("untargeted", True), ("next", False)])
@pytest.mark.parametrize(("name", "norm"), EVERYWHERE)
def test_attack_stays_in_the_budget_and_in_the_range(name: str, norm: Norm, goal: Goal, stop_when_fooled: bool) -> None:
    if not knows(name, goal):
        return
    wanted = samples().classes if goal == "untargeted" else (samples().classes + 1) % 5
    asked = Samples(samples().images, wanted, samples().indices)
    result = craft(name, norm, asked, goal=goal, stop_when_fooled=stop_when_fooled)
    assert_in_the_threat_model(asked.images, result.adversarial, norm)
    assert (result.adversarial != asked.images).flatten(1).any(1).all(), "every image is attacked"
    assert (result.passes >= 1).all()


@pytest.mark.parametrize(("name", "norm"), EVERYWHERE)
def test_attack_lowers_the_confidence_in_the_true_class(name: str, norm: Norm) -> None:
    with torch.no_grad():
        before, after = (
            network()(images).softmax(1).gather(1, samples().classes[:, None])
            for images in (samples().images, usual(name, norm).adversarial)
        )
    assert (after < before).double().mean() >= 0.75


@pytest.mark.parametrize(("name", "norm"), EVERYWHERE)
def test_attack_repeats_with_its_seed_and_is_random_only_if_it_says_so(name: str, norm: Norm) -> None:
    first = usual(name, norm).adversarial
    torch.manual_seed(77)
    assert torch.equal(craft(name, norm, samples()).adversarial, first)
    other = craft(name, norm, samples(), seed=1).adversarial
    assert torch.equal(other, first) != is_random(name)


@pytest.mark.parametrize(("name", "norm"), EVERYWHERE)
def test_attack_leaves_the_model_and_every_generator_alone(name: str, norm: Norm) -> None:
    model = network()
    model[0].weight.grad = torch.ones_like(model[0].weight)  # type: ignore[arg-type]
    flags = [(part.training, tuple(p.requires_grad for p in part.parameters())) for part in model.modules()]
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    generators = torch.random.get_rng_state(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    craft(name, norm, samples(), stop_when_fooled=True)
    assert [(part.training, tuple(p.requires_grad for p in part.parameters())) for part in model.modules()] == flags
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[key]), key
    grads = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    assert list(grads) == ["0.weight"]
    assert (grads["0.weight"] == 1).all()
    assert torch.equal(torch.random.get_rng_state(), generators[0])
    assert (random.getstate(), repr(np.random.get_state())) == generators[1:]  # noqa: NPY002


@pytest.mark.parametrize(("name", "norm"), EVERYWHERE)
def test_results_depend_on_the_batch_only_if_the_attack_says_so(name: str, norm: Norm) -> None:
    if ATTACKS.get(name)().batch_dependent:
        return
    same: dict[str, Any] = {"model": Exact(), "stop_when_fooled": norm == "linf"}
    whole = craft(name, norm, samples(), batch_size=16, **same)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    for rows, batch_size in ((torch.arange(10), 1), (order, 5), (order[:6], 16)):
        part = craft(name, norm, samples().take(rows), batch_size=batch_size, **same)
        torch.testing.assert_close(part.adversarial, whole.adversarial[rows], rtol=0, atol=1e-5)
        assert torch.equal(part.passes, whole.passes[rows])


class Counting(nn.Module):
    """The network, counting the images that it is asked about."""

    asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        logits: Tensor = network()(images)
        return logits


@pytest.mark.parametrize("stop_when_fooled", [True, False])
@pytest.mark.parametrize(("name", "norm"), EVERYWHERE)
def test_every_pass_is_counted_and_none_is_planned_too_few(name: str, norm: Norm, stop_when_fooled: bool) -> None:
    model = Counting()
    given = {"restarts": 2} if "restarts" in parameters_of(ATTACKS.get(name)) else {}
    result = craft(name, norm, samples(), given, model=model, stop_when_fooled=stop_when_fooled)
    if name.startswith(SEVERAL_BACKWARD):
        assert result.passes.sum() >= model.asked
    else:
        assert result.passes.sum() == model.asked
    threat = ThreatModel(norm, EPSILONS[norm])
    cost = configured(name, threat, given).cost(Setting(threat, stop_when_fooled=stop_when_fooled))
    assert (result.passes <= cost).all()


def alternative(parameter: Parameter) -> Any:
    """A valid value other than the default."""
    if parameter.name in ALTERNATIVES:
        return ALTERNATIVES[parameter.name]
    annotation, default = parameter.annotation, SMALL.get(parameter.name, parameter.default)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return next(value for value in get_args(annotation) if value != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 2
    if isinstance(default, float) and default != 0:
        return default / 2
    pytest.fail(f"add another value of {parameter.name} to ALTERNATIVES")


PARAMETERS = [
    pytest.param(name, norm, parameter, id=f"{name}-{parameter.name}")
    for name, norm in FIRST_NORM
    for parameter in parameters_of(ATTACKS.get(name)).values()
]


@pytest.mark.parametrize(("name", "norm", "parameter"), PARAMETERS)
def test_every_parameter_of_an_attack_changes_its_result_or_its_price(
    name: str, norm: Norm, parameter: Parameter
) -> None:
    changed = craft(name, norm, samples(), {parameter.name: alternative(parameter)})
    same_price = torch.equal(changed.passes, usual(name, norm).passes)
    assert not same_price or (changed.adversarial - usual(name, norm).adversarial).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_default_and_a_type(name: str) -> None:
    for parameter in parameters_of(ATTACKS.get(name)).values():
        assert parameter.default is not Parameter.empty, parameter.name
        assert parameter.annotation is not Parameter.empty, parameter.name
        assert parameter.kind in (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD), parameter.name


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_says_in_a_sentence_what_it_is(name: str) -> None:
    assert first_line(ATTACKS.get(name)).endswith(".")


@pytest.mark.parametrize(("name", "preset"), [(name, preset) for name in PRESETS for preset in PRESETS[name]])
def test_every_preset_resolves_and_runs(name: str, preset: str) -> None:
    norm = dict(FIRST_NORM)[name]
    threat = ThreatModel(norm, EPSILONS[norm])
    (arguments,) = sweep(name, preset, {})
    resolved = resolve(name, arguments, threat, {"preset": preset})
    assert isinstance(resolved.arguments.get("step_size", 0.0), float)
    assert {key: resolved.arguments[key] for key in PRESETS[name][preset] if key != "step_size"} == {
        key: value for key, value in PRESETS[name][preset].items() if key != "step_size"
    }
    some = samples().take(torch.arange(2))
    one_step = dataclasses.replace(resolved.attack, steps=1)  # type: ignore[type-var]
    (crafted,) = one_step.craft(network(), some, Setting(threat, pool=samples()))
    assert_in_the_threat_model(some.images[crafted.rows], crafted.adversarial, norm)


EDGES = {
    "black, white, constant": torch.stack([torch.zeros(3), torch.ones(3), torch.tensor([0.25, 0.5, 0.75])])
    .view(3, 3, 1, 1)
    .expand(3, 3, 16, 16),
    "one image": torch.full((1, 3, 16, 16), 0.5),
    "bytes": torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("name", "norm"), EVERYWHERE)
def test_images_at_the_edge_are_attacked_like_others(name: str, norm: Norm, edge: str) -> None:
    images = EDGES[edge]
    count = torch.arange(len(images))
    result = craft(name, norm, Samples(images, count % 5, count))
    pixels = images / 255 if images.dtype == torch.uint8 else images
    assert_in_the_threat_model(pixels, result.adversarial, norm)
    assert (result.adversarial != pixels).flatten(1).any(1).all()
