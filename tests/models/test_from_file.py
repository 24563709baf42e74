"""`file:`: state dicts as people save them, and what is refused about them."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import resnet18, squeezenet1_1

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry
from harness.models import load_model
from harness.models.card import file_sha256
from harness.models.networks import NETWORKS

Change = Callable[[nn.Module], nn.Module]

SMALL = {"width": 4, "norm": "bn"}


@pytest.fixture
def network(randomize: Change) -> nn.Module:
    """A small network of ours, with weights of its own."""
    return randomize(NETWORKS.get("resnet8")(**SMALL))


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    ("wrap", "unwrapped", "stripped"),
    [
        (lambda state: state, [], []),
        (lambda state: {"state_dict": state, "epoch": 3}, ["state_dict"], []),
        (lambda state: {"model": {"state_dict": state}}, ["model", "state_dict"], []),
        (lambda state: _prefixed("module.", state), [], ["module."]),
        (lambda state: {"model": _prefixed("module._orig_mod.", state)}, ["model"], ["module.", "_orig_mod."]),
    ],
)
def test_a_state_dict_is_found_in_its_wrappers_and_the_provenance_says_so(
    wrap: Callable[[Any], Any],
    unwrapped: list[str],
    stripped: list[str],
    network: nn.Module,
    tmp_path: Path,
    images: Tensor,
) -> None:
    path = tmp_path / "state.pt"
    torch.save(wrap(network.state_dict()), path)
    model = load_model(f"file:{path}", architecture="resnet8", arguments=SMALL)
    torch.testing.assert_close(model(images), network(images))
    assert model.provenance.details["unwrapped"] == unwrapped
    assert model.provenance.details["stripped_prefixes"] == stripped
    assert model.provenance.details["weights_file"] == "state.pt"
    assert model.provenance.details["weights_sha256"] == file_sha256(path)


def test_what_stands_beside_the_state_dict_is_named(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": network.state_dict(), "optimizer": {"lr": 0.1}, "epoch": 3}, tmp_path / "state.pth")
    model = load_model(f"file:{tmp_path}/state.pth", architecture="resnet8", arguments=SMALL)
    assert model.provenance.details["left_out"] == ["optimizer", "epoch"]


@pytest.mark.parametrize(
    ("averaged", "last", "prefixes", "left_out"),
    [
        ("model_ema", "model", ["module."], ["model", "epoch", "n_averaged"]),
        ("state_dict_ema", "state_dict", [], ["state_dict", "epoch"]),
        ("model_ema", None, ["module."], ["epoch", "n_averaged"]),
        ("state_dict_ema", None, [], ["epoch"]),
    ],
)
def test_averaged_weights_are_taken_and_said_to_be(
    averaged: str, last: str | None, prefixes: list[str], left_out: list[str],
    network: nn.Module, tmp_path: Path, images: Tensor,
) -> None:  # fmt: skip
    state = AveragedModel(network).state_dict() if averaged == "model_ema" else network.state_dict()
    others = {last: NETWORKS.get("resnet8")(**SMALL).state_dict()} if last else {}
    torch.save({**others, averaged: state, "epoch": 3}, tmp_path / "state.pth")
    model = load_model(f"file:{tmp_path}/state.pth", architecture="resnet8", arguments=SMALL)
    torch.testing.assert_close(model(images), network(images))
    details = model.provenance.details
    assert (details["unwrapped"], details["stripped_prefixes"]) == ([averaged], prefixes)
    assert details["left_out"] == left_out


@pytest.mark.parametrize("nothing", [None, {}, argparse.Namespace(decay=0.9)])
def test_averages_that_were_not_taken_are_passed_over(nothing: Any, network: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": network.state_dict(), "state_dict_ema": nothing}, tmp_path / "state.pth")
    model = load_model(f"file:{tmp_path}/state.pth", architecture="resnet8", arguments=SMALL)
    assert model.provenance.details["unwrapped"] == ["state_dict"]
    assert model.provenance.details["left_out"] == ["state_dict_ema"]


def test_safetensors_and_a_standardization_are_taken(network: nn.Module, tmp_path: Path, images: Tensor) -> None:
    save_file(network.state_dict(), tmp_path / "state.safetensors")
    model = load_model(
        f"file:{tmp_path}/state.safetensors", architecture="resnet8", arguments=SMALL, mean=[0.4] * 3, std=[0.2] * 3,
        input_size=[64, 64],
    )  # fmt: skip
    torch.testing.assert_close(model(images), network((images - 0.4) / 0.2))
    assert model.input_size == (64, 64)


@pytest.mark.parametrize(
    ("architecture", "build"),
    [
        ("torchvision:squeezenet1_1", lambda: squeezenet1_1(num_classes=5)),
        ("timm:test_resnet", lambda: timm.create_model("test_resnet", num_classes=5)),
    ],
)
def test_the_network_may_come_from_a_library(
    architecture: str, build: Callable[[], nn.Module], randomize: Change, tmp_path: Path, images: Tensor
) -> None:
    network = randomize(build())
    torch.save(network.state_dict(), tmp_path / "state.pt")
    model = load_model(f"file:{tmp_path}/state.pt", architecture=architecture, arguments={"num_classes": 5})
    torch.testing.assert_close(model(images), network(images))


def test_differences_between_file_and_network_are_named(network: nn.Module, tmp_path: Path) -> None:
    state = network.state_dict()
    state["extra.weight"] = state.pop("conv.weight")
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(HarnessError, match=r"the file lacks: conv.weight\n.*has no: extra.weight"):
        load_model(f"file:{tmp_path}/state.pt", architecture="resnet8", arguments=SMALL)


def test_different_shapes_are_named_and_long_lists_are_cut(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "state.pt")
    with pytest.raises(
        HarnessError, match=r"conv.weight is \(4, 3, 3, 3\) in the file, \(8, 3, 3, 3\) in the network"
    ) as caught:
        load_model(f"file:{tmp_path}/state.pt", architecture="resnet8", arguments={**SMALL, "width": 8})
    assert "more" in str(caught.value)
    assert "classes" not in str(caught.value)


def test_a_last_layer_of_other_classes_is_told_with_the_way_out(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "state.pt")
    with pytest.raises(
        HarnessError, match="if these are 10 classes, say so in `arguments`, such as { num_classes = 10 }"
    ):
        load_model(f"file:{tmp_path}/state.pt", architecture="resnet8", arguments={**SMALL, "classes": 7})


def test_old_files_without_batch_counters_are_accepted(network: nn.Module, tmp_path: Path, images: Tensor) -> None:
    state = {key: value for key, value in network.state_dict().items() if "num_batches_tracked" not in key}
    torch.save(state, tmp_path / "state.pt")
    model = load_model(f"file:{tmp_path}/state.pt", architecture="resnet8", arguments=SMALL)
    torch.testing.assert_close(model(images), network(images))


def test_a_file_that_would_run_code_is_refused_and_does_not_run_it(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    with (tmp_path / "trap.pt").open("wb") as file:
        pickle.dump({"state_dict": Trap()}, file, protocol=2)
    with pytest.raises(HarnessError):
        load_model(f"file:{tmp_path}/trap.pt", architecture="resnet8")
    torch.save({"state_dict": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(HarnessError, match="whose code would have to run, which is refused"):
        load_model(f"file:{tmp_path}/trap.pt", architecture="resnet8")
    assert not (tmp_path / "ran").exists()


def test_a_whole_saved_network_is_refused_with_the_way_out(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network, tmp_path / "network.pt")
    with pytest.raises(
        HarnessError, match=r"(?s)but a \w+.*save network.state_dict\(\) alone.*python:your_module:your_factory"
    ):
        load_model(f"file:{tmp_path}/network.pt", architecture="resnet8")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_scripted_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "network.pt"))
    with pytest.raises(HarnessError, match=r"is a TorchScript archive(?s:.*)returns torch\.jit\.load"):
        load_model(f"file:{tmp_path}/network.pt", architecture="resnet8")


@pytest.mark.parametrize("name", ["state.pt", "state.safetensors"])
def test_a_damaged_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4 this is no archive")
    with pytest.raises(HarnessError, match=name):
        load_model(f"file:{tmp_path}/{name}", architecture="resnet8")


@pytest.mark.parametrize("content", [{"weights": 3}, [1, 2], {}, torch.zeros(2)])
def test_a_file_without_a_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(HarnessError, match="holds no state dict"):
        load_model(f"file:{tmp_path}/state.pt", architecture="resnet8")


def test_a_missing_file_and_a_missing_architecture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no weights file"):
        load_model(f"file:{tmp_path}/state.pt", architecture="resnet8")
    with pytest.raises(HarnessError, match="set architecture to one of alexnet, .*resnet20"):
        load_model(f"file:{tmp_path}/state.pt")


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("resnet21", "did you mean"),
        ("keras:resnet", "torchvision:MODEL"),
        ("torchvision:resnet18@IMAGENET1K_V1", "write torchvision:resnet18"),
        ("timm:resnet18.a1_in1k", "write timm:resnet18"),
    ],
)
def test_an_unusable_architecture_is_refused(
    architecture: str, message: str, network: nn.Module, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "state.pt")
    with pytest.raises(HarnessError, match=message):
        load_model(f"file:{tmp_path}/state.pt", architecture=architecture)


def test_unknown_arguments_are_refused_with_the_known_ones(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "state.pt")
    with pytest.raises(HarnessError, match="known: activation, channels, classes, norm, shortcut, stem, width"):
        load_model(f"file:{tmp_path}/state.pt", architecture="resnet8", arguments={"wide": 4})


class Schedule:
    """An object that only its training script knows."""

    def __init__(self) -> None:
        self.rate = 0.1


class Normalizer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("new_mean", torch.tensor([0.4, 0.5, 0.6])[:, None, None])
        self.register_buffer("new_std", torch.tensor([0.2, 0.25, 0.3])[:, None, None])


class Attacked(nn.Module):
    """A network as the robustness library of MadryLab wraps it (Salman et al. 2020)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.normalizer = Normalizer()
        self.model = network
        self.attacker = nn.Module()
        self.attacker.normalize = Normalizer()
        self.attacker.model = network


@pytest.fixture
def robust(randomize: Change, tmp_path: Path) -> nn.Module:
    """A network, and a checkpoint of it as Salman et al. published theirs."""
    network = randomize(resnet18(num_classes=5))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    content = {
        "model": nn.DataParallel(Attacked(network)).state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": Schedule(),
        "epoch": 90,
        "amp": "N/A",
        "adv_prec1": torch.tensor(50.0),
    }
    torch.save(content, tmp_path / "robust.ckpt", _use_new_zipfile_serialization=False)
    return network


KEYS: dict[str, Any] = {"architecture": "torchvision:resnet18", "arguments": {"num_classes": 5}}


def test_a_checkpoint_of_robust_training_is_taken_out_of_its_wrappings(
    robust: nn.Module, tmp_path: Path, images: Tensor
) -> None:
    model = load_model(f"file:{tmp_path}/robust.ckpt", **KEYS)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
    torch.testing.assert_close(model(images), robust((images - mean) / std))
    assert model.geometry == Geometry(256, 224, 224)
    details = model.provenance.details
    assert (details["unwrapped"], details["stripped_prefixes"]) == (["model"], ["module.", "model."])
    assert details["left_out"] == ["optimizer", "schedule", "epoch", "amp", "adv_prec1", "attacker", "normalizer"]
    given = load_model(f"file:{tmp_path}/robust.ckpt", **KEYS, mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3])
    assert given.fingerprint == model.fingerprint


@pytest.mark.parametrize(
    ("mean", "std"), [([0.5] * 3, [0.2, 0.25, 0.3]), ([0.4, 0.5, 0.6], [0.5] * 3), ([0.4] * 2,) * 2]
)
@pytest.mark.usefixtures("robust")
def test_another_standardization_than_that_of_the_file_is_refused(
    mean: list[float], std: list[float], tmp_path: Path
) -> None:
    with pytest.raises(HarnessError, match=r"holds another standardization(?s:.)*std = \[0.2"):
        load_model(f"file:{tmp_path}/robust.ckpt", **KEYS, mean=mean, std=std)


@pytest.mark.usefixtures("robust")
def test_a_wrapped_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"the network has no: layer1\.0|the file lacks: .*layer"):
        load_model(f"file:{tmp_path}/robust.ckpt", architecture="torchvision:resnet34", arguments={"num_classes": 5})
    with pytest.raises(HarnessError, match=r"fc\.weight is \(5, 512\) in the file, \(1000, 512\) in the network"):
        load_model(f"file:{tmp_path}/robust.ckpt", architecture="torchvision:resnet18")


@pytest.mark.usefixtures("robust")
def test_a_checkpoint_may_lie_on_the_hub(tmp_path: Path, place_in_hub_cache: Callable[..., Path]) -> None:
    sha256 = file_sha256(tmp_path / "robust.ckpt")
    place_in_hub_cache("someone/robust", {"resnet18_l2.ckpt": tmp_path / "robust.ckpt"})
    model = load_model(f"file:hf://someone/robust/resnet18_l2.ckpt#sha256={sha256[:16]}", **KEYS)
    assert model.provenance.details["weights_file"] == "someone/robust/resnet18_l2.ckpt"
    assert model.provenance.details["weights_sha256"] == sha256
