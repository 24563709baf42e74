"""RayS: which rays it asks about, what it finds from decisions alone, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, inf, log2

import pytest
import torch
from torch import Tensor, nn

import harness
from harness.attacks import ATTACKS, Crafted, Model, Samples, Setting, fooled
from harness.attacks.rays import WHOLE, RayS, turned
from harness.attacks.resolve import resolve
from harness.core.balls import ball_of
from harness.core.errors import HarnessError
from harness.core.threat import ThreatModel
from harness.data.load import load_dataset
from tests.defences import SOUND, Detached

Craft = Callable[..., Crafted]

THREAT = ThreatModel("linf", 24 / 255)
"""Within which the network is fooled on some samples soon, on others late or never."""


@dataclass
class Asked:
    """A model that remembers what it was asked."""

    model: Model
    images: list[Tensor] = field(default_factory=list)

    def __call__(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.images.append(images.clone())
        answers: Tensor = self.model(images)
        return answers


def decisions_of(model: Model, classes: int = 5) -> Model:
    """The same model, which says nothing but the class that comes first."""
    return lambda images: torch.eye(classes)[model(images).argmax(1)]


def linear(classes: int) -> nn.Sequential:
    """Images (N, 1, 4, 4) to logits W (x - 1/2) + b, with random W and small b."""
    layer = nn.Linear(16, classes)
    generator = torch.Generator().manual_seed(classes)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        layer.bias.copy_(0.3 * torch.randn(classes, generator=generator) - layer.weight.sum(1) / 2)
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def near_grey(count: int) -> Tensor:
    return 0.5 + 0.04 * torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def as_predicted(model: Model, images: Tensor) -> Samples:
    return Samples(images, model(images).argmax(1), torch.arange(len(images)))


def known_distances(model: nn.Sequential, samples: Samples) -> Tensor:
    """(N,) least margin over L1 length of the weights, of all wrong classes."""
    layer, logits = model[1], model(samples.images)
    assert isinstance(layer, nn.Linear)
    gaps = logits.gather(1, samples.classes[:, None]) - logits
    ratios = gaps / (layer.weight[samples.classes][:, None] - layer.weight).abs().sum(2)
    nearest: Tensor = ratios.double().scatter(1, samples.classes[:, None], inf).amin(1)
    return nearest


@pytest.mark.parametrize("blocks", [1, 2, 4, 8, 12])
def test_the_blocks_of_a_level_are_cut_from_pixels_in_a_row_and_leave_none_out(blocks: int) -> None:
    signs = torch.ones(blocks, 3, 2, 2)
    changed = turned(signs, torch.arange(blocks), torch.full((blocks,), blocks)).flatten(1) < 0
    assert (changed.sum(0) == 1).all()
    assert torch.equal(changed.int().argmax(0), changed.int().argmax(0).sort().values)
    assert {12 // blocks} <= set(changed.sum(1).tolist()) <= {12 // blocks, 12 // blocks + 1}
    assert torch.equal(turned(signs, torch.full((blocks,), WHOLE), torch.full((blocks,), blocks)), signs)


def queries_of_the_paper(model: Model, image: Tensor, true: int, count: int, tolerance: float) -> list[Tensor]:
    """What one sample asks: checks of one block after the other, each followed by the search that it may begin."""
    asked = [image]

    def is_fooled(signs: Tensor, radius: float) -> bool:
        asked.append((image.flatten() + radius * signs).clamp(0, 1).view_as(image))
        return int(model(asked[-1][None]).argmax()) != true

    def shortened(signs: Tensor, radius: float) -> float:
        low = 0.0
        while radius - low > tolerance:
            middle = (low + radius) / 2
            low, radius = (low, middle) if is_fooled(signs, middle) else (middle, radius)
        return radius

    pixels = image.numel()
    signs, radius = torch.ones(pixels), inf
    if is_fooled(signs, 1.0):
        radius = shortened(signs, 1.0)
    level = 0
    while len(asked) < count:
        parts = torch.arange(pixels).tensor_split(min(2**level, pixels))
        for part in parts:
            trial = signs.clone()
            trial[part] *= -1
            if is_fooled(trial, min(radius, 1.0)):
                signs, radius = trial, shortened(trial, min(radius, 1.0))
        level += 1
    return asked[:count]


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5])
def test_every_sample_asks_in_turn_what_the_paper_says(tolerance: float, craft: Craft) -> None:
    model = linear(3)
    samples, asked = as_predicted(model, near_grey(6)), Asked(model)
    craft(RayS(queries=150, tolerance=tolerance), asked, samples, Setting(ThreatModel("linf", 0.5)))
    for row, (image, true) in enumerate(zip(samples.images, samples.classes.tolist(), strict=True)):
        expected = queries_of_the_paper(model, image, true, 151, tolerance)
        torch.testing.assert_close([images[row] for images in asked.images], expected, rtol=0, atol=1e-6)


def test_radii_of_a_linear_model_are_margins_over_l1_lengths() -> None:
    model = linear(2)
    samples = as_predicted(model, near_grey(12))
    expected = known_distances(model, samples)
    found = RayS(queries=800, tolerance=1e-5).distances(model, samples, Setting(THREAT))
    assert (found >= expected * (1 - 1e-4)).all()
    assert (found <= expected * 1.001 + 1e-5).all()
    coarse = RayS(queries=800).distances(model, samples, Setting(THREAT))
    assert (coarse >= expected * (1 - 1e-4)).all()
    assert (coarse <= expected + 1e-4).all()


@pytest.mark.parametrize("classes", [3, 5])
def test_no_radius_is_below_the_known_distance_with_several_classes(classes: int) -> None:
    model = linear(classes)
    samples = as_predicted(model, near_grey(12))
    expected = known_distances(model, samples)
    found = RayS(queries=800, tolerance=1e-5).distances(model, samples, Setting(THREAT))
    assert (found >= expected * (1 - 1e-4)).all()
    assert (found <= expected * 1.05).all()


def test_a_sample_is_fooled_exactly_within_its_distance(craft: Craft) -> None:
    model = linear(2)
    samples = as_predicted(model, near_grey(1))
    distance = known_distances(model, samples).item()
    for epsilon, success in ((0.99 * distance, False), (1.03 * distance, True)):
        setting = Setting(ThreatModel("linf", epsilon), stop_when_fooled=True)
        result = craft(RayS(queries=800, tolerance=1e-5), model, samples, setting)
        assert bool(fooled(model(result.adversarial), samples.classes, setting.threat)) is success
        assert (result.passes == 801).all() != success


def test_only_decisions_count(network: nn.Module, samples: Samples, craft: Craft) -> None:
    attack, setting = RayS(queries=300), Setting(THREAT, stop_when_fooled=True)
    scores, decisions = (craft(attack, model, samples, setting) for model in (network, decisions_of(network)))
    assert torch.equal(scores.adversarial, decisions.adversarial)
    assert torch.equal(scores.passes, decisions.passes)
    assert fooled(network(decisions.adversarial), samples.classes, THREAT).double().mean() > 0.5


def test_it_fools_models_without_a_gradient_or_a_score_where_pgd_fails(craft: Craft) -> None:
    data = load_dataset("digits", samples=20)
    every = Samples(torch.from_numpy(data.images), torch.from_numpy(data.labels), torch.from_numpy(data.indices))
    broken, sound = Detached(), harness.load_model(SOUND)
    with torch.no_grad():
        right = every.take((sound(every.pixels(torch.arange(20))).argmax(1) == every.classes).nonzero()[:, 0])
    setting = Setting(ThreatModel("linf", 0.3), stop_when_fooled=True)

    def share(name: str, model: Model, **arguments: int) -> float:
        result = craft(ATTACKS.get(name)(**arguments), model, right, setting)
        with torch.no_grad():
            return fooled(sound(result.adversarial), right.classes, setting.threat).double().mean().item()

    assert share("pgd", broken, steps=10) <= 0.2
    assert share("rays", broken, queries=300) >= 0.8
    assert share("rays", decisions_of(broken, 10), queries=300) >= 0.8


def test_a_fooled_sample_proposes_the_very_point_that_fooled(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    asked = Asked(network)
    result = craft(RayS(queries=200), asked, samples, Setting(THREAT, batch_size=8))
    success = fooled(network(result.adversarial), samples.classes, THREAT)
    assert success.sum() > 3
    stopped = craft(RayS(queries=200), network, samples, Setting(THREAT, stop_when_fooled=True))
    assert (stopped.passes[success] < 201).all()
    assert (stopped.passes[~success] == 201).all()
    for row in success.nonzero()[:, 0].tolist():
        assert any(torch.equal(images[row], result.adversarial[row]) for images in asked.images)
        assert torch.equal(stopped.adversarial[row], asked.images[int(stopped.passes[row]) - 1][row])


@pytest.mark.parametrize("epsilon", [0.25 / 255, 1 / 255, 8 / 255])
def test_proposals_lie_in_the_ball(epsilon: float, network: nn.Module, samples: Samples, craft: Craft) -> None:
    threat = ThreatModel("linf", epsilon)
    result = craft(RayS(queries=150), network, samples, Setting(threat, stop_when_fooled=True))
    assert result.adversarial.min() >= 0
    assert result.adversarial.max() <= 1
    away = ball_of(threat).distance(samples.images, result.adversarial)
    assert away.max() <= epsilon * (1 + 1e-6) + 2**-24
    missed = ~fooled(network(result.adversarial), samples.classes, threat)
    assert (away[missed] > 0.999 * epsilon).all()


def test_more_queries_never_lengthen_a_ray_and_never_fool_fewer(
    network: nn.Module, samples: Samples, craft: Craft
) -> None:
    budgets = [RayS(queries=queries) for queries in (20, 60, 150, 300)]
    radii = [attack.distances(network, samples, Setting(THREAT)) for attack in budgets]
    for fewer, more in pairwise(radii):
        assert (more <= fewer).all()
    assert (radii[-1] < radii[0]).all()
    results = [craft(attack, network, samples, Setting(THREAT, stop_when_fooled=True)) for attack in budgets]
    for radius, result in zip(radii, results, strict=True):
        within = radius <= THREAT.epsilon
        assert fooled(network(result.adversarial), samples.classes, THREAT)[within].all()


def test_every_sample_asks_once_per_step(network: nn.Module, samples: Samples, craft: Craft) -> None:
    attack, asked = RayS(queries=30), Asked(network)
    result = craft(attack, asked, samples, Setting(ThreatModel("linf", 1e-4)))
    assert [len(images) for images in asked.images] == [8] * 31
    assert result.passes.tolist() == [31] * 8
    assert attack.cost(Setting(THREAT)) == 31
    assert not result.zero_gradient.any()


def test_slots_and_order_change_nothing(network: nn.Module, samples: Samples, craft: Craft) -> None:
    attack = RayS(queries=60)
    whole = craft(attack, network, samples, Setting(THREAT, stop_when_fooled=True))
    assert len(whole.passes.unique()) > 2
    order = torch.tensor([5, 2, 7, 0, 3, 6, 1, 4])
    for rows, batch_size in ((order, 3), (order[:5], 1)):
        part = craft(attack, network, samples.take(rows), Setting(THREAT, batch_size=batch_size, stop_when_fooled=True))
        assert torch.equal(part.passes, whole.passes[rows])
        assert torch.equal(part.adversarial, whole.adversarial[rows])


def test_misclassified_images_are_at_distance_zero_and_done_at_once(craft: Craft, grey: Tensor) -> None:
    model = linear(3)
    samples = as_predicted(model, grey)
    wrong = Samples(grey, (samples.classes + 1) % 3, samples.indices)
    assert (RayS(queries=20).distances(model, wrong, Setting(THREAT)) == 0).all()
    result = craft(RayS(queries=20), model, wrong, Setting(THREAT, stop_when_fooled=True))
    assert torch.equal(result.adversarial, grey)
    assert (result.passes == 1).all()
    result = craft(RayS(queries=20), model, wrong, Setting(THREAT))
    assert (result.adversarial != grey).flatten(1).any(1).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0])
def test_where_nothing_fools_a_corner_of_the_ball_is_proposed(value: float, craft: Craft) -> None:
    def model(images: Tensor) -> Tensor:
        return torch.tensor([1.0, value, value]).expand(len(images), 3)

    for image in (torch.zeros(2, 3, 5, 7), torch.ones(1, 1, 1, 1), torch.full((1, 2, 2, 2), 0.5)):
        samples = Samples(image, torch.zeros(len(image), dtype=torch.int64), torch.arange(len(image)))
        result = craft(RayS(queries=25), model, samples, Setting(THREAT, stop_when_fooled=True))
        assert result.passes.tolist() == [26] * len(image)
        torch.testing.assert_close((result.adversarial - image).abs(), torch.full_like(image, THREAT.epsilon))
        assert (RayS(queries=25).distances(model, samples, Setting(THREAT)) == inf).all()


def test_the_slack_is_part_of_the_decision() -> None:
    model = linear(2)
    samples = as_predicted(model, near_grey(8))
    layer = model[1]
    assert isinstance(layer, nn.Linear)
    further = 0.05 / (layer.weight[0] - layer.weight[1]).abs().sum().item()
    found = RayS(queries=800, tolerance=1e-5).distances(model, samples, Setting(THREAT, slack=0.05))
    torch.testing.assert_close(found, known_distances(model, samples) + further, rtol=0.01, atol=2e-5)


@pytest.mark.parametrize(("epsilon", "tolerance"), [(1.0, 1e-4), (4e-4, 1e-4), (2e-4, 5e-5), (4e-5, 1e-5)])
def test_the_search_for_a_radius_is_finer_where_epsilon_is_small(epsilon: float, tolerance: float) -> None:
    def step_model(images: Tensor) -> Tensor:
        return torch.stack([torch.full((len(images),), 0.3), images.flatten(1).mean(1)], 1)

    one = Samples(torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    asked = Asked(step_model)
    next(RayS(queries=30).craft(asked, one, Setting(ThreatModel("linf", epsilon))))
    middles = [images.item() for images in asked.images[2:] if 0 < images.item() < 1]
    halvings = ceil(log2(1 / tolerance))
    assert len({round(middle, 9) for middle in middles[:halvings]}) == halvings
    assert abs(middles[halvings - 1] - 0.3) <= tolerance
    assert asked.images[2 + halvings].item() == 0, "a ray towards darkness leads nowhere"


def test_it_has_ten_thousand_queries_unless_told_otherwise() -> None:
    assert ATTACKS.get("rays")() == RayS(queries=10_000, tolerance=1e-4)
    assert RayS().cost(Setting(THREAT)) == 10_001
    assert RayS().resolved(THREAT) == {}


@pytest.mark.parametrize("goal", ["next", "random"])
def test_targeted_goals_are_refused(goal: str) -> None:
    with pytest.raises(HarnessError, match='made for the goal "untargeted"; use'):
        ATTACKS.get("rays")().resolved(ThreatModel("linf", 0.1, goal))  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_other_norms_are_refused(norm: str) -> None:
    with pytest.raises(HarnessError, match="does not work in the norm"):
        resolve("rays", {}, ThreatModel(norm, 0.5), {})  # type: ignore[arg-type]
