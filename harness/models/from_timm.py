"""Pretrained timm models, with the weights named explicitly, and models in timm's format on the Hugging Face hub."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from harness.core.errors import HarnessError, did_you_mean
from harness.core.geometry import INTERPOLATIONS, Geometry, square
from harness.core.libraries import library
from harness.models import MODEL_SOURCES
from harness.models.card import file_sha256
from harness.models.classifier import Classifier, Provenance
from harness.models.construction import Factory, construct
from harness.models.downloads import fetch_hub, fetch_url
from harness.models.timm_arguments import RESERVED, refuse_replacements, refuse_reserved

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Weights in a hub repository, in timm's order of preference."""


@MODEL_SOURCES.register("timm")
def from_timm(
    name: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    input_size: tuple[int, int] | None = None,
) -> Classifier:
    """timm:MODEL.TAG - pretrained, such as resnet50.a1_in1k; timm:MODEL@none for random weights.

    Standardization belongs to the weights: `mean` and `std` are taken with `@none` only, where they default to the
    model's own. Random weights are the same in every run.

    Raises:
        HarnessError: for an unknown model, a missing or unknown tag, and weights that cannot be had.
    """
    where = f"timm:{name}"
    given = dict(arguments or {})
    model, at, weights = name.partition("@")
    if at:
        if weights != "none" or "." in model:
            raise HarnessError(f"{where}: write timm:MODEL.TAG for trained weights, timm:MODEL@none for random ones")
        network = untrained(model, given, where)
        return _classifier(network, Provenance(where, True, _details(given)), given, mean, std, input_size)
    refuse_replacements(where, given, mean)
    config = _config(model)
    file = _weights_file(config, where)
    # Weights of some configurations came in another format once, which timm would expect of every file.
    overlay = {"file": str(file), "custom_load": False}
    network = _trained(_creator(model, pretrained=True, pretrained_cfg_overlay=overlay), given, where, file)
    provenance = Provenance(where, False, {**_file_details(file), **_details(given)})
    return _classifier(network, provenance, given, None, None, input_size)


@MODEL_SOURCES.register("hf-hub")
def from_hub(
    name: str, *, arguments: Mapping[str, Any] | None = None, input_size: tuple[int, int] | None = None
) -> Classifier:
    """hf-hub:USER/MODEL - a model in timm's format on the Hugging Face hub; hf-hub:USER/MODEL@REVISION.

    Raises:
        HarnessError: when the repository cannot be had, or is not in timm's format.
    """
    where = f"hf-hub:{name}"
    given = dict(arguments or {})
    refuse_replacements(where, given, None)
    _check_format(fetch_hub(name, ("config.json",), where, beside=HUB_FILES[:1]), where)
    file = fetch_hub(name, HUB_FILES, where)
    # From the cache: with the hub out of reach, timm's own way there would try for half a minute.
    network = _trained(_creator(f"local-dir:{file.parent}", pretrained=True), given, where, file)
    details = {**_file_details(file), "revision": file.parent.name, **_details(given)}
    return _classifier(network, Provenance(where, False, details), given, None, None, input_size)


def untrained(architecture: str, arguments: Mapping[str, Any], where: str) -> nn.Module:
    """A timm network with random weights, the same ones every time. Raises HarnessError for an unknown one."""
    _check_known(architecture)
    refuse_reserved(where, arguments)
    return construct(_creator(architecture, pretrained=False), arguments, where)


def geometry_of(network: nn.Module, arguments: Mapping[str, Any]) -> Geometry | None:
    """What timm's evaluation does with image files; the whole middle square for an `img_size` of one's own.

    None where that is neither a crop nor a squash to a square, such as for images with added borders.
    """
    if isinstance(size := arguments.get("img_size"), int):
        return square(size)
    config = library("timm.data").resolve_model_data_config(network)
    (_, height, width), mode, how = config["input_size"], config["crop_mode"], config["interpolation"]
    if size is not None or height != width or mode not in ("center", "squash") or how not in INTERPOLATIONS:
        return None
    return Geometry(math.floor(height / config["crop_pct"]), height, width, how, squash=mode == "squash")


def trained_ids(architecture: str) -> list[str]:
    """Ids of the weights that timm has of an architecture, its own choice first."""
    configs = library("timm.models").get_arch_pretrained_cfgs(architecture)
    return [f"timm:{name}" for name, config in configs.items() if config.has_weights]


def _creator(model: str, **settled: Any) -> Factory:
    # timm drops keywords that are None; naming them all keeps them out of the lists of what may be given.
    return partial(library("timm").create_model, model, **{**dict.fromkeys(RESERVED), **settled})


def _trained(create: Factory, arguments: Mapping[str, Any], where: str, file: Path) -> nn.Module:
    try:
        return construct(create, arguments, where)
    except (SafetensorError, RuntimeError) as error:
        reason = "\n     ".join(str(error).splitlines()[:3])
        raise HarnessError(
            f"{where}: the weights in {file} are damaged or of another network:\n     {reason}"
        ) from error


def _check_format(config: Path, where: str) -> None:
    """Raise HarnessError unless a repository's config.json names a network of timm's."""
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HarnessError(f"{where}: {config} is damaged: {error}.\n     delete it and fetch it again") from None
    if not isinstance(content, dict) or "architecture" not in content:
        raise HarnessError(
            f'{where} is not in timm\'s format: its config.json names no "architecture".\n'
            "     wrap it in a factory that loads it and returns logits: python:your_module:your_factory"
        )


def _check_known(architecture: str) -> None:
    known = library("timm").list_models()
    if architecture not in known:
        raise HarnessError(f'timm has no model "{architecture}".\n     {did_you_mean(architecture, known)}')


def _config(model: str) -> Any:
    """The configuration that timm has of a model's weights. Raises HarnessError when model or tag is unknown."""
    architecture, _, tag = model.partition(".")
    _check_known(architecture)
    configs = library("timm.models").get_arch_pretrained_cfgs(architecture)
    trained = {name: config for name, config in configs.items() if config.has_weights}
    if model not in trained:
        choices = [f"timm:{name}" for name in (*trained, f"{architecture}@none")]
        problem = f'timm:{architecture} has no weights "{tag}"' if tag else f"timm:{architecture}: name the weights"
        raise HarnessError(f"{problem}.\n     write one of: {', '.join(choices)}")
    return trained[model]


def _weights_file(config: Any, where: str) -> Path:
    if config.hf_hub_id:
        files = (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES
        return fetch_hub(config.hf_hub_id, files, where)
    return fetch_url(config.url, where)


def _classifier(
    network: nn.Module,
    provenance: Provenance,
    arguments: Mapping[str, Any],
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    input_size: tuple[int, int] | None,
) -> Classifier:
    config = library("timm.data").resolve_model_data_config(network)
    if not provenance.random_weights and getattr(network, "num_classes", None) == 0:
        raise HarnessError(f"{provenance.id} has no classifier: it gives features, not logits")
    geometry = geometry_of(network, arguments)
    _, height, width = config["input_size"]
    usual = None if geometry else (height, width)
    return Classifier(
        network, provenance, mean=mean or tuple(config["mean"]), std=std or tuple(config["std"]),
        input_size=input_size or usual, geometry=geometry,
    )  # fmt: skip


def _details(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"library": f"timm {library('timm').__version__}", "arguments": arguments}


def _file_details(file: Path) -> dict[str, Any]:
    # In the hub's cache the file's name is the same for every model, so that the repository belongs to it.
    repository = next((part for part in file.parts if part.startswith("models--")), None)
    name = f"{repository.removeprefix('models--').replace('--', '/')}/{file.name}" if repository else file.name
    return {"weights_file": name, "weights_sha256": file_sha256(file)}
