"""What a training may change: exactly the named parameters and statistics (walter2022, table 1)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness.core.errors import HarnessError
from harness.models.networks import NETWORKS
from harness.models.recipe import Changes, Recipe
from harness.train.changes import parameters_of, restrict, set_training_mode
from harness.train.loop import Images, train

NORM, STATISTICS, LOGITS, CONV1, REST = "norm", "statistics", "logits", "conv1", "rest"

ADVERSARIAL = {"epsilon": "8/255", "steps": 2}

CONFIGURATIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "normal": ({}, {NORM, STATISTICS, LOGITS, CONV1, REST}),
    "normal_bn_only": ({"changes": {"parameters": ["norm"]}}, {NORM, STATISTICS}),
    "normal_bn_only_log_conv1": (
        {"changes": {"parameters": ["norm", "logits", "conv1"]}}, {NORM, STATISTICS, LOGITS, CONV1},
    ),
    "adv": ({"adversarial": ADVERSARIAL}, {NORM, STATISTICS, LOGITS, CONV1, REST}),
    "adv_bn_only": ({"adversarial": ADVERSARIAL, "changes": {"parameters": ["norm"]}}, {NORM, STATISTICS}),
    "adv_bn_only_log_conv1": (
        {"adversarial": ADVERSARIAL, "changes": {"parameters": ["norm", "logits", "conv1"]}},
        {NORM, STATISTICS, LOGITS, CONV1},
    ),
    "bn_stats_no_reset": ({"adversarial": ADVERSARIAL, "changes": {"parameters": []}}, {STATISTICS}),
    "bn_stats_reset": (
        {"adversarial": ADVERSARIAL, "changes": {"parameters": [], "statistics": "reset"}}, {STATISTICS},
    ),
    "bn_only_params": (
        {"adversarial": ADVERSARIAL, "changes": {"parameters": ["norm"], "statistics": "frozen"}}, {NORM},
    ),
    "bn_params": ({"adversarial": ADVERSARIAL, "changes": {"parameters": ["norm"]}}, {NORM, STATISTICS}),
    "bn_params_log_conv1": (
        {"adversarial": ADVERSARIAL, "changes": {"parameters": ["norm", "logits", "conv1"]}},
        {NORM, STATISTICS, LOGITS, CONV1},
    ),
}  # fmt: skip
"""The eleven configurations by their names in the paper's results, and the parts of the network that they change."""


def part_of(name: str, network: nn.Module) -> str:
    """Which part of a ResNet an entry of its state belongs to."""
    module = network.get_submodule(name.rpartition(".")[0])
    if name.endswith(("running_mean", "running_var", "num_batches_tracked")):
        return STATISTICS
    if isinstance(module, nn.BatchNorm2d):
        return NORM
    return {"logits": LOGITS, "conv": CONV1}.get(name.partition(".")[0], REST)


def data(count: int = 32) -> Images:
    generator = torch.Generator().manual_seed(0)
    return Images(
        torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8), torch.arange(count) % 3
    )


def trained(changes: dict[str, Any], epochs: int = 1) -> tuple[dict[str, torch.Tensor], nn.Module]:
    """The state of a network with well-worn statistics before training, and the network afterwards."""
    torch.manual_seed(1)
    network = NETWORKS.get("resnet8")(classes=3, width=4)
    network.train()(torch.rand(64, 3, 8, 8))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recipe = Recipe.model_validate({"epochs": epochs, "learning_rate": 0.1, "batch_size": 8, "warmup": 0, **changes})
    train(network, recipe, data(), data(), seed=0)
    return before, network


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_exactly_the_named_parts_change_and_the_rest_stays_bit_for_bit(configuration: str) -> None:
    changes, expected = CONFIGURATIONS[configuration]
    before, network = trained(changes)
    after = network.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert {part_of(name, network) for name in changed} == expected
    untouched = [name for name in before if name not in changed]
    assert all(part_of(name, network) not in expected for name in untouched)


def test_every_parameter_may_be_asked_for_a_gradient_only_where_it_learns() -> None:
    _, network = trained({"changes": {"parameters": ["logits"]}})
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == {"logits.weight", "logits.bias"}


@pytest.mark.parametrize(("statistics", "batches"), [("update", 1 + 4), ("reset", 4)])
def test_reset_statistics_have_seen_this_training_alone(statistics: str, batches: int) -> None:
    _, network = trained({"changes": {"parameters": [], "statistics": statistics}})
    assert int(network.state_dict()["norm.num_batches_tracked"]) == batches


def test_reset_statistics_start_at_mean_zero_and_variance_one() -> None:
    batches: list[torch.Tensor] = []
    torch.manual_seed(1)
    layer = nn.BatchNorm2d(3, affine=False)
    layer(torch.rand(64, 3, 8, 8))
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(192, 3))
    layer.register_forward_pre_hook(lambda module, inputs: batches.append(inputs[0]) if module.training else None)
    changes = {"parameters": [], "statistics": "reset"}
    recipe = Recipe.model_validate({"epochs": 1, "learning_rate": 0.1, "batch_size": 16, "changes": changes})
    train(network, recipe, data(), data(), seed=0)
    expected = torch.zeros(3)
    for batch in batches:
        expected = 0.9 * expected + 0.1 * batch.mean((0, 2, 3))
    assert len(batches) == 2
    torch.testing.assert_close(network.state_dict()["0.running_mean"], expected)


def test_statistics_alone_are_moved_without_a_backward_pass() -> None:
    before, network = trained({"changes": {"parameters": []}})
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not torch.equal(before["norm.running_mean"], network.state_dict()["norm.running_mean"])


def test_frozen_statistics_stay_while_training_images_are_attacked_in_train_mode() -> None:
    changes = {"parameters": ["logits"], "statistics": "frozen"}
    before, network = trained({"adversarial": {**ADVERSARIAL, "mode": "train"}, "changes": changes})
    after = network.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert {part_of(name, network) for name in changed} == {LOGITS}


@pytest.mark.parametrize(("statistics", "expected"), [("frozen", 7.0), ("reset", 0.0)])
def test_the_means_that_robustnorm_tracks_are_frozen_and_reset_too(statistics: Any, expected: float) -> None:
    network = NETWORKS.get("resnet8")(classes=3, width=4, norm="rn")
    means = [tensor.fill_(7.0) for name, tensor in network.named_buffers() if name.endswith("running_mean")]
    changes = Changes(parameters=("logits",), statistics=statistics)
    restrict(network, changes)
    assert all((mean == expected).all() for mean in means)
    set_training_mode(network, changes)
    network(torch.rand(8, 3, 8, 8))
    assert all((mean == expected).all() for mean in means) == (statistics == "frozen")


@pytest.mark.parametrize("norm", ["none", "gn"])
def test_statistics_alone_cannot_be_moved_where_there_are_none(norm: str) -> None:
    network = NETWORKS.get("resnet8")(classes=3, width=4, norm=norm)
    with pytest.raises(HarnessError, match=r"recipe.changes.parameters: \[\] changes running statistics alone"):
        restrict(network, Changes(parameters=()))


@pytest.mark.parametrize("norm", ["bn", "in", "ln", "gn", "rn"])
def test_the_part_norm_is_the_scales_and_shifts_of_every_normalization(norm: str) -> None:
    network = NETWORKS.get("resnet8")(classes=3, width=4, norm=norm)
    sizes = [tuple(parameter.shape) for parameter in parameters_of(network, "norm")]
    # One layer at the stem, two per block in three stages, and two projections.
    assert len(sizes) == 2 * (1 + 6 + 2)
    assert {len(size) for size in sizes} == {1}


def test_a_part_that_the_network_does_not_have_is_refused() -> None:
    network = NETWORKS.get("resnet8")(classes=3, width=4, norm="none")
    recipe = Recipe.model_validate({"epochs": 1, "learning_rate": 0.1, "changes": {"parameters": ["norm"]}})
    with pytest.raises(HarnessError, match='no parameters of the part "norm"'):
        train(network, recipe, data(), data(), seed=0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"changes": {"parameters": [], "statistics": "frozen"}}, "something to change"),
        ({"changes": {"parameters": []}, "average": 0.9}, "no parameter is changed"),
        ({"changes": {"parameters": []}, "gradient_similarity": {"weight": 1.0}}, "is learnt, and no parameter"),
        ({"compile": True, "gradient_similarity": {"weight": 1.0}}, "differentiates twice"),
        ({"adversarial": {"norm": "l1", "epsilon": 1.0}}, "should be 'linf' or 'l2'"),
        ({"epochs": "2"}, "valid integer"),
        ({"snapshots": [0]}, "rising epochs from 1 to 2"),
        ({"snapshots": [2, 1]}, "rising epochs from 1 to 2"),
        ({"schedule": "step", "milestones": [3]}, "rising epochs from 1 to 2"),
        ({"milestones": [1]}, 'belong to schedule = "step"'),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.model_validate({"epochs": 2, "learning_rate": 0.1, **keys})
