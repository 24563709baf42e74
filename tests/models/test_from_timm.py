"""`timm:` and `hf-hub:`: explicit tags, the Hugging Face cache, and no layer replaced in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError
from harness.models import load_model
from harness.models.card import file_sha256
from harness.models.classifier import Provenance
from harness.models.from_timm import _classifier

Place = Callable[[str, dict[str, Path]], Path]
Change = Callable[[nn.Module], nn.Module]
Save = Callable[[nn.Module], Path]

ID = "timm:test_resnet.r160_in1k"
REPOSITORY = "timm/test_resnet.r160_in1k"


def test_weights_in_the_cache_are_loaded_and_standardized(
    place_in_hub_cache: Place, as_safetensors: Save, randomize: Change, images: Tensor
) -> None:
    network = randomize(timm.create_model("test_resnet"))
    snapshot = place_in_hub_cache(REPOSITORY, {"model.safetensors": as_safetensors(network)})
    model = load_model(ID)
    config = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    assert config is not None
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (config.mean, config.std))
    torch.testing.assert_close(model(images), network((images - mean) / std))
    assert model.input_size == (160, 160)
    assert not model.provenance.random_weights
    assert model.provenance.details["weights_file"] == f"{REPOSITORY}/model.safetensors"
    assert model.provenance.details["weights_sha256"] == file_sha256(snapshot / "model.safetensors")


@pytest.mark.parametrize(
    ("tag", "mean", "std"),
    [
        ("tv_in1k", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tf_in1k", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("tf_adv_in1k", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("gluon_in1k", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_inceptions_of_timm_are_standardized_as_they_were_trained_and_not_a_second_time(
    tag: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with torch.device("meta"):
        network = timm.create_model("inception_v3", pretrained_cfg=timm.get_pretrained_cfg(f"inception_v3.{tag}"))
    model = _classifier(network, Provenance("x"), {}, None, None, None)
    assert model.mean.flatten().tolist() == pytest.approx(mean)
    assert model.std.flatten().tolist() == pytest.approx(std)
    assert not getattr(network, "transform_input", False)


def test_an_older_repository_with_pytorch_weights_only_is_read_too(
    place_in_hub_cache: Place, tmp_path: Path, randomize: Change, images: Tensor
) -> None:
    network = randomize(timm.create_model("test_resnet"))
    torch.save(network.state_dict(), tmp_path / "weights.bin")
    place_in_hub_cache(REPOSITORY, {"pytorch_model.bin": tmp_path / "weights.bin"})
    model = load_model(ID)
    torch.testing.assert_close(model.network(images), network(images))


def test_a_hub_model_is_built_from_its_configuration(
    place_in_hub_cache: Place, as_safetensors: Save, randomize: Change, tmp_path: Path, images: Tensor
) -> None:
    network = randomize(timm.create_model("test_resnet", num_classes=7))
    config = {"mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2], "input_size": [3, 96, 96], "num_classes": 7}
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": "test_resnet", "num_classes": 7, "pretrained_cfg": config})
    )
    files = {"model.safetensors": as_safetensors(network), "config.json": tmp_path / "config.json"}
    place_in_hub_cache("someone/robust", files)
    model = load_model("hf-hub:someone/robust")
    torch.testing.assert_close(model(images), network((images - 0.4) / 0.2))
    assert model.input_size == (96, 96)
    assert model.provenance.details["revision"] == "0" * 40


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"architectures": ["ResNetForImageClassification"], "model_type": "resnet"}', "is not in timm's format"),
        ("[]", "is not in timm's format"),
        ('{"architecture": ', "is damaged"),
    ],
)
def test_a_hub_model_of_another_format_is_refused_in_words(
    config: str, message: str, place_in_hub_cache: Place, as_safetensors: Save, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(config)
    weights = as_safetensors(nn.Linear(2, 2))
    place_in_hub_cache("microsoft/resnet-50", {"config.json": tmp_path / "config.json", "model.safetensors": weights})
    with pytest.raises(HarnessError, match=f"hf-hub:microsoft/resnet-50.*{message}"):
        load_model("hf-hub:microsoft/resnet-50")


def test_weights_that_came_in_a_format_of_their_own_are_read_as_the_hub_has_them(
    place_in_hub_cache: Place, as_safetensors: Save, randomize: Change, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = randomize(timm.create_model("test_resnet"))
    place_in_hub_cache(REPOSITORY, {"model.safetensors": as_safetensors(network)})
    overlays = []
    create = timm.create_model

    def watched(*arguments: Any, **keywords: Any) -> nn.Module:
        overlays.append(keywords["pretrained_cfg_overlay"])
        return create(*arguments, **keywords)

    monkeypatch.setattr(timm, "create_model", watched)
    torch.testing.assert_close(load_model(ID).network(images), network(images))
    # timm 1.0.16 goes by the configuration, not by the file.
    assert [overlay["custom_load"] for overlay in overlays] == [False]


def test_a_cached_hub_model_is_loaded_without_a_word_to_the_hub(
    place_in_hub_cache: Place, as_safetensors: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", "pretrained_cfg": {}}))
    files = {
        "model.safetensors": as_safetensors(timm.create_model("test_resnet")),
        "config.json": tmp_path / "config.json",
    }
    place_in_hub_cache("someone/robust", files)

    def ask(*_: object, **__: object) -> None:
        raise AssertionError("timm asked the hub")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", ask)
    assert load_model("hf-hub:someone/robust").parameter_count > 0


def test_a_hub_model_that_is_not_in_the_cache_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"hf download someone/robust config.json model.safetensors --revision v2"):
        load_model("hf-hub:someone/robust@v2")


def test_a_name_that_is_no_repository_is_refused() -> None:
    with pytest.raises(HarnessError, match="a/b/c"):
        load_model("hf-hub:a/b/c")


def test_without_network_the_error_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=f"hf download {REPOSITORY} model.safetensors") as caught:
        load_model(ID)
    folder = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    assert f"{folder}/snapshots/<commit>/model.safetensors" in str(caught.value)


def test_none_gives_the_same_random_weights_every_time_and_marks_them(images: Tensor) -> None:
    before = torch.get_rng_state()
    model = load_model("timm:test_resnet@none", arguments={"num_classes": 10})
    assert torch.equal(before, torch.get_rng_state())
    assert model.provenance.random_weights
    assert model(images).shape == (2, 10)
    assert model.fingerprint == load_model("timm:test_resnet@none", arguments={"num_classes": 10}).fingerprint


def test_a_missing_tag_names_the_choices() -> None:
    with pytest.raises(HarnessError, match="name the weights") as caught:
        load_model("timm:resnet50")
    assert "timm:resnet50.a1_in1k" in str(caught.value)
    assert "timm:resnet50@none" in str(caught.value)


def test_an_unknown_tag_names_the_choices() -> None:
    with pytest.raises(HarnessError, match="timm:test_resnet.r160_in1k, timm:test_resnet@none"):
        load_model("timm:test_resnet.a1_in1k")


def test_an_unknown_model_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(HarnessError, match="did you mean: .*test_resnet"):
        load_model("timm:test_resnt.r160_in1k")


@pytest.mark.parametrize("name", ["test_resnet.r160_in1k@none", "test_resnet@r160_in1k"])
def test_tag_and_none_do_not_mix(name: str) -> None:
    with pytest.raises(HarnessError, match="timm:MODEL.TAG for trained weights"):
        load_model(f"timm:{name}")


def test_trained_layers_are_never_replaced_by_untrained_ones() -> None:
    with pytest.raises(HarnessError, match="replaced by untrained"):
        load_model(ID, arguments={"num_classes": 10})


def test_arguments_cannot_smuggle_in_weights() -> None:
    with pytest.raises(HarnessError, match="remove checkpoint_path"):
        load_model("timm:test_resnet@none", arguments={"checkpoint_path": "other.pth"})


def test_the_standardization_of_trained_weights_cannot_be_replaced() -> None:
    with pytest.raises(HarnessError, match="belong to the weights"):
        load_model(ID, mean=[0.5], std=[0.5])


def test_unknown_arguments_are_refused_with_the_known_ones() -> None:
    with pytest.raises(HarnessError, match="dropout_rate") as caught:
        load_model("timm:test_resnet@none", arguments={"dropout_rate": 0.5})
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert {"drop_rate", "num_classes"} <= set(known)
    assert "checkpoint_path" not in known


def test_a_damaged_file_in_the_cache_is_refused(place_in_hub_cache: Place, as_safetensors: Save) -> None:
    snapshot = place_in_hub_cache(REPOSITORY, {"model.safetensors": as_safetensors(timm.create_model("test_resnet"))})
    blob = (snapshot / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:1000])
    with pytest.raises(HarnessError, match="is damaged: its sha256 is not its name"):
        load_model(ID)
    # A copy without links has no name to check.
    content = blob.read_bytes()
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").write_bytes(content)
    with pytest.raises(HarnessError, match="damaged or of another network"):
        load_model(ID)


def test_weights_of_another_network_are_refused(place_in_hub_cache: Place, as_safetensors: Save) -> None:
    network = timm.create_model("test_resnet", num_classes=7)
    place_in_hub_cache(REPOSITORY, {"model.safetensors": as_safetensors(network)})
    with pytest.raises(HarnessError, match="damaged or of another network"):
        load_model(ID)
