"""A network's tensors among those of the modules that it was wrapped in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.models.wrapping import Standardization, unwrap_tensors


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))


class Normalize(nn.Module):
    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("new_mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("new_std", torch.tensor(std)[:, None, None])


class Attacker(nn.Module):
    def __init__(self, model: nn.Module, mean: list[float]) -> None:
        super().__init__()
        self.normalize = Normalize(mean, [0.5, 0.25, 0.5])
        self.model = model


class Attacked(nn.Module):
    def __init__(self, model: nn.Module, mean: list[float]) -> None:
        super().__init__()
        self.normalizer = Normalize([0.25, 0.5, 0.75], [0.5, 0.25, 0.5])
        self.model = model
        self.attacker = Attacker(model, mean)


def _attacked(network: nn.Module, mean: tuple[float, ...] = (0.25, 0.5, 0.75)) -> dict[str, Tensor]:
    """What `DataParallel` around a module that standardizes and attacks saves."""
    return dict(nn.DataParallel(Attacked(network, list(mean))).state_dict())


def test_a_network_is_found_beside_its_standardization_and_its_copies() -> None:
    network = _network()
    tensors = _attacked(network)
    assert "module.normalizer.new_mean" in tensors
    assert "module.attacker.model.0.weight" in tensors
    unwrapped = unwrap_tensors(tensors, _network())
    assert unwrapped.tensors.keys() == network.state_dict().keys()
    assert all(torch.equal(unwrapped.tensors[key], tensor) for key, tensor in network.state_dict().items())
    assert unwrapped.prefixes == ("module.", "model.")
    assert unwrapped.standardization == Standardization((0.25, 0.5, 0.75), (0.5, 0.25, 0.5))
    assert unwrapped.dropped == ("attacker", "normalizer")


def test_two_different_standardizations_explain_nothing() -> None:
    unwrapped = unwrap_tensors(_attacked(_network(), (0.0, 0.0, 0.0)), _network())
    assert unwrapped.standardization is None
    assert {key for key in unwrapped.tensors if "new_" in key} == {
        "normalizer.new_mean", "normalizer.new_std", "attacker.normalize.new_mean", "attacker.normalize.new_std",
    }  # fmt: skip


def test_a_copy_that_differs_is_none_and_stays() -> None:
    tensors = _attacked(_network())
    tensors["module.attacker.model.0.weight"] = tensors["module.attacker.model.0.weight"] + 1
    unwrapped = unwrap_tensors(tensors, _network())
    assert unwrapped.tensors.keys() - _network().state_dict().keys() == {"attacker.model.0.weight"}


def test_another_part_beside_the_network_stays() -> None:
    head = {f"head.{key}": tensor for key, tensor in nn.Linear(2, 2).state_dict().items()}
    network = {f"model.{key}": tensor for key, tensor in _network().state_dict().items()}
    unwrapped = unwrap_tensors({**network, **head}, _network())
    assert unwrapped.tensors.keys() - _network().state_dict().keys() == head.keys()
    assert unwrapped.dropped == ()


def test_a_network_that_lies_open_is_taken_as_it_is() -> None:
    own = dict(_network().state_dict())
    tensors = {**own, "model.0.weight": own["0.weight"], "mean": torch.zeros(3), "std": torch.ones(3)}
    assert unwrap_tensors(tensors, _network()).tensors.keys() == tensors.keys()


@pytest.mark.parametrize("name", ["running_mean", "mean"])
def test_a_mean_without_its_std_is_no_standardization(name: str) -> None:
    tensors = {f"model.{key}": tensor for key, tensor in _network().state_dict().items()}
    unwrapped = unwrap_tensors({**tensors, f"norm.{name}": torch.zeros(3)}, _network())
    assert unwrapped.standardization is None
    assert f"norm.{name}" in unwrapped.tensors
