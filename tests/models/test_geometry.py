"""How image files become each model's input: as its library evaluates it, pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import timm.data
import torch
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.transforms.functional import to_pil_image

from harness.core.errors import HarnessError
from harness.core.geometry import Geometry, square
from harness.data.images import fit
from harness.models import from_timm, load_model
from harness.models.card import read_card
from harness.models.classifier import Classifier, Provenance
from harness.models.from_torchvision import preset_geometry, untrained_geometry
from harness.models.from_zoo import build

SIZES = [(500, 375), (333, 500), (640, 427), (301, 299)]


def _image(width: int, height: int) -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def _preset_pixels(preset: Any, image: Image.Image) -> np.ndarray[Any, Any]:
    """What a preset of torchvision shows the network, without the standardization."""
    preset.mean, preset.std = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    return np.asarray(to_pil_image(preset(image)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("weights", "label"),
    [
        (models.ResNet50_Weights.IMAGENET1K_V1, "resize 256, crop 224"),
        (models.ResNet50_Weights.IMAGENET1K_V2, "resize 232, crop 224"),
        (models.Inception_V3_Weights.IMAGENET1K_V1, "resize 342, crop 299"),
        (models.EfficientNet_B1_Weights.IMAGENET1K_V2, "resize 255, crop 240"),
        (models.Swin_T_Weights.IMAGENET1K_V1, "resize 232, crop 224, bicubic"),
        (models.ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1, "resize 384, crop 384, bicubic"),
    ],
)
def test_torchvisions_presets_make_the_same_pixels(weights: Any, label: str, size: tuple[int, int]) -> None:
    preset = weights.transforms()
    geometry = preset_geometry(preset)
    assert geometry.label == label
    image = _image(*size)
    assert np.array_equal(np.asarray(fit(image, geometry)), _preset_pixels(preset, image))


def test_every_preset_of_torchvision_is_a_geometry() -> None:
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            geometry = preset_geometry(weights.transforms())
            assert geometry.resize >= geometry.height == geometry.width


def _timm(name: str) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = timm.create_model(
            name.partition(".")[0], pretrained_cfg=timm.get_pretrained_cfg(name) if "." in name else None
        )
    return network


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("resnet50.a1_in1k", "resize 235, crop 224, bicubic"),
        ("resnet18.tv_in1k", "resize 256, crop 224"),
        ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "resize 248, crop 224, bicubic"),
        ("inception_v3.tv_in1k", "resize 341, crop 299, bicubic"),
        ("convnext_tiny.in12k_ft_in1k_384", "squash 384, crop 384, bicubic"),
        ("test_resnet.r160_in1k", "resize 168, crop 160"),
    ],
)
def test_timms_evaluation_makes_the_same_pixels(name: str, label: str, size: tuple[int, int]) -> None:
    network = _timm(name)
    geometry = from_timm.geometry_of(network, {})
    assert geometry is not None
    assert geometry.label == label
    library: Any = timm.data
    theirs = library.create_transform(**library.resolve_model_data_config(network), normalize=False)
    image = _image(*size)
    assert np.array_equal(np.asarray(fit(image, geometry)).transpose(2, 0, 1), theirs(image).numpy())


def test_borders_and_rectangles_of_timm_are_no_geometry() -> None:
    network = _timm("test_resnet.r160_in1k")
    config = dict(network.pretrained_cfg)  # type: ignore[arg-type]
    for change in ({"crop_mode": "border"}, {"input_size": (3, 160, 128)}, {"interpolation": "random"}):
        network.pretrained_cfg = {**config, **change}  # type: ignore[assignment]
        assert from_timm.geometry_of(network, {}) is None


@pytest.mark.parametrize(
    ("architecture", "arguments", "geometry"),
    [
        ("resnet18", {}, Geometry(256, 224, 224)),
        ("inception_v3", {}, Geometry(342, 299, 299)),
        ("efficientnet_b3", {}, Geometry(320, 300, 300, "bicubic")),
        ("vit_b_16", {"image_size": 64}, square(64)),
        ("vit_h_14", {}, Geometry(256, 224, 224)),
    ],
)
def test_an_untrained_network_of_torchvision_is_shown_what_its_first_weights_were(
    architecture: str, arguments: dict[str, Any], geometry: Geometry
) -> None:
    assert untrained_geometry(architecture, arguments) == geometry


def test_a_size_that_a_network_of_timm_is_built_for_is_the_whole_square() -> None:
    model = load_model("timm:test_vit@none", arguments={"img_size": 64})
    assert model.geometry == square(64)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_the_input_size_follows_from_the_geometry_and_a_contradiction_leaves_none() -> None:
    def model(**keys: Any) -> Classifier:
        return Classifier(nn.Identity(), Provenance("x"), **keys)

    assert (model(geometry=Geometry(9, 8, 7)).input_size, model().input_size) == ((8, 7), None)
    agreeing, other = (model(geometry=square(8), input_size=size) for size in ((8, 8), (4, 4)))
    assert (agreeing.geometry, agreeing.input_size) == (square(8), (8, 8))
    assert (other.geometry, other.input_size) == (None, (4, 4))


def test_a_zoo_model_is_shown_the_square_of_its_test_set(tmp_path: Path) -> None:
    def geometry(test_data: str) -> Geometry | None:
        (tmp_path / "card.toml").write_text(
            'summary = "x"\n[architecture]\nnetwork = "resnet8"\nwidth = 4\n[recipe]\nepochs = 1\nlearning_rate = 0.1\n'
            f'[train_data]\nid = "digits"\n[test_data]\n{test_data}\n'
        )
        return build(read_card(tmp_path / "card.toml"), "x").geometry

    assert geometry('id = "parquet"\nsize = 64') == square(64)
    assert geometry('id = "digits"') is None
    assert geometry('id = "parquet"\nsize = "model"') is None


def test_an_ensemble_has_the_geometry_that_its_members_share() -> None:
    same = load_model("ensemble:torchvision:squeezenet1_1@none+torchvision:squeezenet1_0@none")
    assert same.geometry == Geometry(256, 224, 224)
    assert same.provenance.details["geometry"] == "resize 256, crop 224"
    different = load_model("ensemble:timm:test_resnet@none+timm:test_vit@none")
    assert (different.geometry, different.input_size) == (None, (160, 160))


@pytest.mark.parametrize(
    ("keys", "geometry"),
    [
        ({}, Geometry(168, 160, 160)),
        ({"crop": 128}, square(128)),
        ({"resize": 200}, Geometry(200, 160, 160)),
        ({"resize": 146, "crop": 128}, Geometry(146, 128, 128)),
        ({"interpolation": "bicubic"}, Geometry(168, 160, 160, "bicubic")),
        ({"crop": 64, "interpolation": "nearest"}, Geometry(64, 64, 64, "nearest")),
    ],
)
def test_a_geometry_can_be_asked_for_part_by_part(keys: dict[str, Any], geometry: Geometry) -> None:
    plain, model = load_model("timm:test_resnet@none"), load_model("timm:test_resnet@none", **keys)
    assert model.geometry == geometry
    assert model.input_size == (geometry.height, geometry.width)
    assert model.provenance.details["geometry"] == geometry.label
    assert model.fingerprint == plain.fingerprint


def test_a_model_without_a_geometry_is_given_one(tmp_path: Path) -> None:
    (tmp_path / "work" / "mine.py").write_text("import torch\n\ndef net():\n    return torch.nn.Flatten()\n")
    assert load_model("python:mine:net").geometry is None
    assert load_model("python:mine:net", crop=32).geometry == square(32)
    with pytest.raises(HarnessError, match="give crop too"):
        load_model("python:mine:net", resize=32)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"crop": 224, "resize": 200}, "a middle of 224 pixels cannot be cut out of images scaled to 200"),
        ({"resize": 100}, "a middle of 160 pixels"),
        ({"crop": 0}, "a middle of 0 pixels"),
        ({"interpolation": "cubic"}, "did you mean: .*bicubic"),
    ],
)
def test_a_geometry_that_cannot_be_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_model("timm:test_resnet@none", **keys)
