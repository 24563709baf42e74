"""What a module holds is compared by place and value, and put back there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from harness.models.classifier import undisturbed
from harness.models.state import State

CHANGES: dict[str, Callable[[nn.BatchNorm2d], object]] = {
    "a buffer in place": lambda layer: layer.running_mean.add_(1),  # type: ignore[union-attr]
    "a buffer replaced": lambda layer: setattr(layer, "running_mean", torch.ones(3)),
    "a buffer replaced by an equal one": lambda layer: setattr(layer, "running_mean", torch.zeros(3)),
    "a buffer dropped": lambda layer: setattr(layer, "running_mean", None),
    "a parameter in place": lambda layer: layer.weight.data.mul_(2),
    "a parameter replaced": lambda layer: setattr(layer, "weight", nn.Parameter(torch.zeros(3))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_and_undone(change: str) -> None:
    network = nn.Sequential(nn.BatchNorm2d(3)).requires_grad_(False)
    layer = network[0]
    assert isinstance(layer, nn.BatchNorm2d)
    mean, weight, state = layer.running_mean, layer.weight, State(network)
    seen = [state.changed]
    CHANGES[change](layer)
    seen.append(state.changed)
    state.put_back()
    seen.append(state.changed)
    assert seen == [False, True, False]
    assert layer.running_mean is mean
    assert layer.weight is weight
    assert (layer.running_mean == 0).all()  # type: ignore[union-attr]
    assert (layer.weight == 1).all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_buffers_of_scripted_modules_are_compared_and_put_back() -> None:
    network = torch.jit.script(nn.Sequential(nn.BatchNorm2d(3)).eval())
    layer = getattr(network, "0")
    mean, state = layer.running_mean, State(network)
    seen = [state.changed]
    for change in (lambda: layer.running_mean.add_(1), lambda: setattr(layer, "running_mean", torch.ones(3))):
        change()
        seen.append(state.changed)
        state.put_back()
        seen.append(state.changed)
        assert layer.running_mean is mean
        assert (layer.running_mean == 0).all()
    assert seen == [False, True, False, True, False]


def test_parameters_can_be_left_out() -> None:
    layer = nn.BatchNorm2d(3).requires_grad_(False)
    state = State(layer, parameters=False)
    layer.weight.mul_(2)
    assert not state.changed
    state.put_back()
    assert (layer.weight == 2).all()


def test_undisturbed_puts_back_a_buffer_that_was_replaced() -> None:
    layer = nn.BatchNorm2d(3)
    mean = layer.running_mean
    with undisturbed(layer):
        layer.running_mean = torch.ones(3)
    assert layer.running_mean is mean


def test_undisturbed_puts_back_the_generators_of_all_gpus_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    states = {0: torch.zeros(1), 1: torch.ones(1)}
    before = dict(states)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(states))
    monkeypatch.setattr(torch.cuda, "get_rng_state", states.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({device: state}))
    with undisturbed(nn.Identity()):
        states.update(dict.fromkeys(states, torch.full((1,), 5.0)))
    assert states == before
    assert not recwarn.list
