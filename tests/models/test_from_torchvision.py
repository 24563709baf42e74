"""`torchvision:`: explicit weights, one standardization, and weights that are found, missing or damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import (
    GoogLeNet_Weights,
    Inception_V3_Weights,
    SqueezeNet1_1_Weights,
    googlenet,
    inception_v3,
    squeezenet1_1,
)

from harness.core.errors import HarnessError
from harness.models import load_model, resumable
from harness.models.card import file_sha256
from tests.models.server import serving

Place = Callable[[Any, nn.Module], Path]
Change = Callable[[nn.Module], nn.Module]

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
SQUEEZENET = "torchvision:squeezenet1_1@IMAGENET1K_V1"


def test_weights_in_the_cache_are_loaded_and_standardized_once(
    place_in_torch_hub: Place, randomize: Change, images: Tensor
) -> None:
    network = randomize(squeezenet1_1())
    file = place_in_torch_hub(SqueezeNet1_1_Weights.IMAGENET1K_V1, network)
    model = load_model(SQUEEZENET)
    torch.testing.assert_close(model(images), network((images - MEAN) / STD))
    assert model.input_size == (224, 224)
    assert not model.training
    assert model.provenance.id == SQUEEZENET
    assert not model.provenance.random_weights
    assert model.provenance.details["weights_file"] == file.name
    assert model.provenance.details["weights_sha256"] == file_sha256(file)
    assert model.provenance.details["geometry"] == "resize 256, crop 224"


def test_loading_leaves_the_global_generator_and_stdout_alone(
    place_in_torch_hub: Place, randomize: Change, capsys: pytest.CaptureFixture[str]
) -> None:
    place_in_torch_hub(SqueezeNet1_1_Weights.IMAGENET1K_V1, randomize(squeezenet1_1()))
    before = torch.get_rng_state()
    load_model(SQUEEZENET)
    assert torch.equal(before, torch.get_rng_state())
    assert capsys.readouterr().out == ""


def test_a_network_that_undoes_the_standardization_itself_sees_it_once(
    place_in_torch_hub: Place, randomize: Change, images: Tensor
) -> None:
    network = randomize(googlenet(init_weights=False))
    place_in_torch_hub(GoogLeNet_Weights.IMAGENET1K_V1, network)
    model = load_model("torchvision:googlenet@IMAGENET1K_V1")
    # GoogLeNet was trained on images scaled to [-1, 1].
    torch.testing.assert_close(model(images), network((images - 0.5) / 0.5), rtol=1e-3, atol=1e-4)
    assert model.provenance.details["arguments"] == {"transform_input": True}


@pytest.mark.parametrize(
    ("name", "build", "member", "first"),
    [
        ("inception_v3", inception_v3, Inception_V3_Weights.IMAGENET1K_V1, "Conv2d_1a_3x3"),
        ("googlenet", googlenet, GoogLeNet_Weights.IMAGENET1K_V1, "conv1"),
    ],
)
def test_the_first_layer_of_an_inception_sees_twice_the_image_less_one(
    name: str, build: Callable[..., nn.Module], member: Any, first: str, place_in_torch_hub: Place
) -> None:
    place_in_torch_hub(member, build(init_weights=False))
    model = load_model(f"torchvision:{name}@IMAGENET1K_V1")
    seen: list[Tensor] = []
    model.network.get_submodule(first).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 75, 75, generator=torch.Generator().manual_seed(0))
    images[0, :, 0, :2] = torch.tensor([0.0, 1.0])
    model(images)
    torch.testing.assert_close(seen[0], 2 * images - 1, rtol=0, atol=1e-6)


def test_the_switch_of_the_input_enters_the_fingerprint(randomize: Change, tmp_path: Path) -> None:
    torch.save(googlenet(init_weights=False).state_dict(), tmp_path / "googlenet.pt")
    models = [
        load_model(f"file:{tmp_path}/googlenet.pt", architecture="torchvision:googlenet", arguments=arguments)
        for arguments in ({"transform_input": True}, {"transform_input": False})
    ]
    assert models[0].fingerprint != models[1].fingerprint


def test_none_gives_the_same_random_weights_every_time_and_marks_them(images: Tensor) -> None:
    model = load_model("torchvision:squeezenet1_1@none")
    assert model.provenance.random_weights
    assert model.fingerprint == load_model("torchvision:squeezenet1_1@none").fingerprint
    torch.testing.assert_close(model.mean, MEAN)
    assert model.input_size == (224, 224)
    assert model(images).shape == (2, 1000)


def test_none_takes_arguments_of_the_network_and_a_standardization() -> None:
    model = load_model(
        "torchvision:squeezenet1_1@none", arguments={"num_classes": 10}, mean=[0.5], std=[0.5], input_size=[32, 32]
    )
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert model.input_size == (32, 32)
    assert model.mean.flatten().tolist() == [0.5]


def test_untrained_inception_wants_299_pixels_and_is_not_standardized_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "harness.models.from_torchvision.UNTRAINED_ARGUMENTS", {"inception_v3": {"init_weights": False}}
    )
    model = load_model("torchvision:inception_v3@none")
    assert model.input_size == (299, 299)
    assert isinstance(model.network, type(inception_v3(init_weights=False)))
    assert not model.network.transform_input


def test_missing_weights_name_the_choices() -> None:
    with pytest.raises(HarnessError, match="name the weights") as caught:
        load_model("torchvision:resnet50")
    for choice in ("resnet50@IMAGENET1K_V1", "resnet50@IMAGENET1K_V2", "resnet50@none"):
        assert f"torchvision:{choice}" in str(caught.value)


def test_default_is_refused_and_translated() -> None:
    with pytest.raises(HarnessError, match="today it is torchvision:resnet50@IMAGENET1K_V2"):
        load_model("torchvision:resnet50@DEFAULT")


def test_unknown_weights_and_models_are_refused_with_suggestions() -> None:
    with pytest.raises(HarnessError, match="torchvision:resnet18@IMAGENET1K_V1"):
        load_model("torchvision:resnet18@IMAGENET1K_V2")
    with pytest.raises(HarnessError, match=r"did you mean: .*resnet18"):
        load_model("torchvision:resnet-18@none")


def test_the_standardization_of_trained_weights_cannot_be_replaced() -> None:
    with pytest.raises(HarnessError, match="belong to the weights"):
        load_model(SQUEEZENET, mean=[0.5], std=[0.5])


def test_unknown_arguments_are_refused_with_the_known_ones() -> None:
    with pytest.raises(HarnessError, match="class_count") as caught:
        load_model("torchvision:squeezenet1_1@none", arguments={"class_count": 10})
    assert "known: dropout, num_classes" in str(caught.value)


def test_arguments_cannot_smuggle_in_weights() -> None:
    with pytest.raises(HarnessError, match="remove weights"):
        load_model("torchvision:squeezenet1_1@none", arguments={"weights": "IMAGENET1K_V1"})


def test_another_number_of_classes_than_the_weights_is_refused(place_in_torch_hub: Place) -> None:
    place_in_torch_hub(SqueezeNet1_1_Weights.IMAGENET1K_V1, squeezenet1_1())
    with pytest.raises(HarnessError, match="num_classes"):
        load_model(SQUEEZENET, arguments={"num_classes": 10})


def test_without_network_the_error_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*arguments: object, **keywords: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(resumable, "urlopen", unreachable)
    with pytest.raises(HarnessError, match="no route to host") as caught:
        load_model(SQUEEZENET)
    url = SqueezeNet1_1_Weights.IMAGENET1K_V1.url
    assert f"fetch {url}\n" in str(caught.value)
    assert f"put it at {tmp_path}/torch/hub/checkpoints/{url.rpartition('/')[2]}" in str(caught.value)


def test_a_download_is_asked_for_with_the_hash_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(b"another file") as server:
        file = SqueezeNet1_1_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
        monkeypatch.setattr(SqueezeNet1_1_Weights.IMAGENET1K_V1.value, "url", server.url.replace("weights.bin", file))
        with pytest.raises(HarnessError, match="should start with b8a52dc0; it is deleted"):
            load_model(SQUEEZENET)


def test_a_damaged_file_in_the_cache_is_refused(place_in_torch_hub: Place) -> None:
    file = place_in_torch_hub(SqueezeNet1_1_Weights.IMAGENET1K_V1, squeezenet1_1())
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(HarnessError, match="damaged or another file") as caught:
        load_model(SQUEEZENET)
    assert str(file) in str(caught.value)
