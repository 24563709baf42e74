"""Pretrained torchvision models, with the weights named explicitly."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from harness.core.errors import HarnessError, did_you_mean
from harness.core.geometry import Geometry, square
from harness.core.libraries import library
from harness.models import MODEL_SOURCES
from harness.models.card import file_sha256
from harness.models.classifier import Classifier, Provenance
from harness.models.construction import construct
from harness.models.downloads import fetch_url

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

UNTRAINED_ARGUMENTS = {"inception_v3": {"init_weights": True}, "googlenet": {"init_weights": True}}
"""Arguments without which torchvision warns that their default will change."""

RESERVED = ("weights", "weights_backbone", "progress")
"""Arguments of torchvision that choose weights, which is the id's business."""


@MODEL_SOURCES.register("torchvision")
def from_torchvision(
    name: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    input_size: tuple[int, int] | None = None,
) -> Classifier:
    """torchvision:MODEL@WEIGHTS - pretrained, such as vgg19@IMAGENET1K_V1; @none for random weights.

    Standardization belongs to the weights: `mean` and `std` are taken with `@none` only, where they default to those
    of ImageNet. Random weights are the same in every run.

    Raises:
        HarnessError: for an unknown model, missing or unknown weights, `DEFAULT`, and weights that cannot be had.
    """
    architecture, _, weights = name.partition("@")
    where = f"torchvision:{name}"
    member = _member(architecture, weights)
    given = dict(arguments or {})
    _refuse_reserved(where, given)
    if member is None:
        network = untrained(architecture, given, where)
        return Classifier(
            network, Provenance(where, random_weights=True, details=_details(network, given)),
            mean=mean or IMAGENET_MEAN, std=std or IMAGENET_STD,
            input_size=input_size, geometry=untrained_geometry(architecture, given),
        )  # fmt: skip
    if mean is not None or std is not None:
        raise HarnessError(f"{where}: mean and std belong to the weights and cannot be replaced")
    file = fetch_url(member.url, where)
    preset = member.transforms()
    network = construct(partial(_builder(architecture), weights=member, progress=False), given, where)
    details = {
        "weights_file": file.name,
        "weights_sha256": file_sha256(file),
        **_details(network, given),
    }
    return Classifier(
        network, Provenance(where, details=details),
        mean=tuple(preset.mean), std=tuple(preset.std), input_size=input_size, geometry=preset_geometry(preset),
    )  # fmt: skip


def untrained(architecture: str, arguments: Mapping[str, Any], where: str) -> nn.Module:
    """A torchvision network with random weights, the same ones every time. Raises HarnessError for an unknown one."""
    _refuse_reserved(where, arguments)
    factory = partial(_builder(architecture), weights=None, progress=False)
    return construct(factory, {**UNTRAINED_ARGUMENTS.get(architecture, {}), **arguments}, where)


def preset_geometry(preset: Any) -> Geometry:
    """That of torchvision's transforms for some weights."""
    (resize,), (crop,) = preset.resize_size, preset.crop_size
    return Geometry(resize, crop, crop, preset.interpolation.value)


def untrained_geometry(architecture: str, arguments: Mapping[str, Any]) -> Geometry:
    """That of the first weights that torchvision had; the whole middle square for an `image_size` of one's own."""
    if "image_size" in arguments:
        return square(arguments["image_size"])
    member = library("torchvision.models").get_model_weights(_builder(architecture)).__members__.get("IMAGENET1K_V1")
    return preset_geometry(member.transforms()) if member else Geometry(256, 224, 224)


def trained_ids(architecture: str) -> list[str]:
    """Ids of the weights that torchvision has of an architecture; some are of features alone, without a classifier."""
    enum = library("torchvision.models").get_model_weights(_builder(architecture))
    return [f"torchvision:{architecture}@{member.name}" for member in enum if member.meta["categories"]]


def _refuse_reserved(where: str, arguments: Mapping[str, Any]) -> None:
    reserved = [key for key in RESERVED if key in arguments]
    if reserved:
        raise HarnessError(
            f"{where}: the id says which weights to load; remove {', '.join(reserved)} from the arguments"
        )


def _builder(architecture: str) -> Any:
    models = library("torchvision.models")
    known = models.list_models(module=models)  # classification only
    if architecture not in known:
        raise HarnessError(f'torchvision has no model "{architecture}".\n     {did_you_mean(architecture, known)}')
    return models.get_model_builder(architecture)


def _member(architecture: str, weights: str) -> Any | None:
    """The weights' enum member; None for `none`."""
    enum = library("torchvision.models").get_model_weights(_builder(architecture))
    choices = [f"torchvision:{architecture}@{choice}" for choice in (*(member.name for member in enum), "none")]
    if weights == "none":
        return None
    if not weights:
        raise HarnessError(f"torchvision:{architecture}: name the weights.\n     write one of: {', '.join(choices)}")
    if weights == "DEFAULT":
        raise HarnessError(
            f"torchvision:{architecture}@DEFAULT means other weights in other versions of torchvision.\n"
            f"     today it is torchvision:{architecture}@{enum['DEFAULT'].name}; write that"
        )
    if weights not in enum.__members__:
        raise HarnessError(
            f'torchvision:{architecture} has no weights "{weights}".\n     write one of: {", ".join(choices)}'
        )
    return enum[weights]


def hidden_switches(network: nn.Module) -> dict[str, Any]:
    """What changes a network's computation without showing in its layers or state, for the fingerprint.

    With their weights, Inception and GoogLeNet undo ImageNet's standardization and apply their own.
    """
    return {"transform_input": True} if getattr(network, "transform_input", False) else {}


def _details(network: nn.Module, arguments: Mapping[str, Any]) -> dict[str, Any]:
    version = library("torchvision").__version__
    return {"library": f"torchvision {version}", "arguments": {**arguments, **hidden_switches(network)}}
