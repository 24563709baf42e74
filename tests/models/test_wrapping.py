"""A network's tensors among those of the modules that it was wrapped in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

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


@pytest.mark.parametrize("wrap", [lambda network: network, nn.DataParallel])
def test_the_counter_of_an_averaged_model_is_dropped(wrap: Callable[[nn.Module], nn.Module]) -> None:
    network = _network()
    unwrapped = unwrap_tensors(wrap(AveragedModel(wrap(network))).state_dict(), _network())
    assert unwrapped.tensors.keys() == network.state_dict().keys()
    assert set(unwrapped.prefixes) == {"module."}
    assert unwrapped.dropped == ("n_averaged",)


def test_an_averaged_model_around_a_standardization_is_taken_apart() -> None:
    network = _network()
    averaged = AveragedModel(Attacked(network, [0.25, 0.5, 0.75]))
    unwrapped = unwrap_tensors(averaged.state_dict(), _network())
    assert unwrapped.tensors.keys() == network.state_dict().keys()
    assert unwrapped.dropped == ("attacker", "n_averaged", "normalizer")


def test_what_is_called_like_the_counter_and_is_none_stays() -> None:
    tensors = {**_network().state_dict(), "n_averaged": torch.zeros(2)}
    assert "n_averaged" in unwrap_tensors(tensors, _network()).tensors
