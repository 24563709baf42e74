"""`harness extract NAME`: from a card to a data set that can be trained and evaluated on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

import harness
from harness.cli import main
from harness.core.balls import L2Ball
from harness.core.cards import file_sha256
from harness.core.tf32 import tf32_allowed
from harness.data import Array, Dataset
from harness.data.feature_card import features_file, read_feature_card
from harness.data.features import features
from harness.data.load import load_dataset
from harness.features.extraction import Extraction
from harness.features.run import extract as make
from harness.features.shards import Shard
from harness.models.card import weights_path, zoo_cards
from harness.models.classifier import Classifier
from tests.features.conftest import CARD

Extract = Callable[..., int]


@pytest.fixture
def extract(monkeypatch: pytest.MonkeyPatch) -> Extract:
    """The command line in this process; gives the exit code."""

    def command(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["harness", "extract", *arguments, "--device", "cpu"])
        try:
            main()
        except SystemExit as exit:
            return int(str(exit.code or 0))
        return 0

    return command


def source(samples: int = 60) -> Dataset:
    return load_dataset("digits", {"split": "train"}, samples)


def made(name: str = "small") -> Dataset:
    return load_dataset("features", {"name": name}, indices="first")


def predictions(images: Array) -> Array:
    with torch.no_grad():
        answers: Array = harness.load_model("zoo:digits-resnet8-bn")(torch.from_numpy(images)).argmax(1).numpy()
    return answers


def test_a_set_is_written_and_measured_and_what_people_wrote_stays(
    card: Path, extract: Extract, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract("small") == 0
    assert card.read_text().startswith(CARD)
    result, data = read_feature_card(card).result, made()
    assert result["sha256"] == file_sha256(features_file(card))
    assert result["fingerprint"] == data.fingerprint
    assert result["source_fingerprint"] == source().fingerprint
    assert result["images"] == len(data.labels) == 60
    assert data.name == "small"
    assert data.classes == source().classes
    assert result["label_reached"] == np.mean(predictions(data.images) == data.labels)
    assert result["label_reached"] > 0.5
    assert result["mean_objective"] < result["mean_objective_at_start"] / 3
    assert "60 images in" in capsys.readouterr().out
    assert [file.name for file in Path(".harness/features").iterdir() if file.is_file()] == ["small.safetensors"]
    assert not list(Path(".harness/features/partial").iterdir())


def test_images_of_d_rand_stay_in_the_ball_around_their_own_source(card: Path, extract: Extract) -> None:
    extract("small")
    data, whole = made(), source()
    distances = L2Ball(1.0).distance(torch.from_numpy(whole.images), torch.from_numpy(data.images))
    result = read_feature_card(card).result
    assert result["largest_distance"] <= 1 + 1e-6
    assert result["mean_distance"] == pytest.approx(distances.mean().item(), abs=1e-3)
    assert data.images.min() >= 0
    assert data.images.max() <= 1
    assert (data.labels != whole.labels).all()


def test_match_takes_over_the_activations_of_an_image_with_the_label(card: Path, extract: Extract) -> None:
    card.write_text(
        CARD.replace('"rand"', '"match"').replace("epsilon = 1.0\n", "").replace("= 8", "= 60").replace("0.25", "0.1")
    )
    assert extract("small") == 0
    result, data = read_feature_card(card).result, made()
    assert (data.labels == source().labels).all()
    assert result["mean_objective"] < result["mean_objective_at_start"] / 5
    assert result["label_reached"] > 0.95
    assert result["largest_distance"] > 1


def test_d_conflict_is_made_of_d_r(card: Path, extract: Extract) -> None:
    robust = CARD.replace('"rand"', '"match"').replace("epsilon = 1.0\n", "")
    card.with_name("robust.toml").write_text(robust)
    conflict = CARD.replace('"rand"', '"conflict"').replace('id = "digits"\nsplit = "train"\nsamples = 60', "FROM")
    card.write_text(conflict.replace("FROM", 'id = "features"\nname = "robust"'))
    assert extract("small") == 2
    assert extract("robust") == 0
    assert extract("small") == 0
    starts, data = made("robust"), made()
    assert ((data.labels + 1) % 10 == starts.labels).all()
    distances = L2Ball(1.0).distance(torch.from_numpy(starts.images), torch.from_numpy(data.images))
    assert distances.max() < 1 + 1e-3


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt an extraction when it begins another batch."""
    original = Extraction.batch
    begun: list[range] = []

    def batch(self: Extraction, rows: range, after_step: Callable[[int], None]) -> Shard:
        if len(begun) == batches:
            raise KeyboardInterrupt
        begun.append(rows)
        return original(self, rows, after_step)

    monkeypatch.setattr(Extraction, "batch", batch)


def count_batches(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """The batches that are computed from now on."""
    original = Extraction.batch
    computed: list[range] = []

    def batch(self: Extraction, rows: range, after_step: Callable[[int], None]) -> Shard:
        computed.append(rows)
        return original(self, rows, after_step)

    monkeypatch.setattr(Extraction, "batch", batch)
    return computed


def test_an_interrupted_extraction_goes_on_and_ends_with_the_same_bytes(
    card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract("small", "--batch-size", "16")
    whole = features_file(card).read_bytes()
    features_file(card).unlink()
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        assert extract("small", "--batch-size", "16") == 130
    assert not features_file(card).exists()
    computed = count_batches(monkeypatch)
    assert extract("small", "--batch-size", "16") == 0
    assert computed == [range(32, 48), range(48, 60)]
    assert features_file(card).read_bytes() == whole


def test_another_batch_size_gives_the_same_images(card: Path, extract: Extract) -> None:
    extract("small")
    together = made()
    extract("small", "--force", "--batch-size", "7")
    apart = made()
    assert np.array_equal(together.labels, apart.labels)
    # Sums are rounded in another order, and float16 in another direction.
    assert np.abs(together.images.astype(np.float64) - apart.images.astype(np.float64)).max() < 1e-3


def test_a_set_of_a_network_that_sees_whole_batches_tells_their_size(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "batch_size" not in make("small", limit=8, batch_size=4, quiet=True)
    monkeypatch.setattr(Classifier, "batch_dependent", True)
    assert make("small", limit=8, batch_size=4, quiet=True)["batch_size"] == 4


def test_a_set_that_is_made_of_itself_is_refused(
    card: Path, extract: Extract, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = CARD.replace('id = "digits"\nsplit = "train"\nsamples = 60', 'id = "features"\nname = "NAME"')
    card.write_text(ring.replace("NAME", "other"))
    card.with_name("other.toml").write_text(ring.replace("NAME", "small"))
    assert extract("small") == 2
    assert "a set cannot be made of itself: small -> other -> small" in capsys.readouterr().err


def test_a_finished_set_is_left_alone_unless_it_is_forced_or_its_card_was_changed(
    card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract("small")
    computed = count_batches(monkeypatch)
    assert extract(str(card)) == 0
    assert computed == []
    assert extract("small", "--force") == 0
    assert len(computed) == 1
    card.write_text(card.read_text().replace("seed = 3", "seed = 4"))
    assert extract("small") == 0
    assert len(computed) == 2


def test_a_set_is_made_anew_when_its_network_has_other_weights(
    card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, zoo = zoo_cards(), card.parent.parent / "zoo"
    zoo.mkdir()
    monkeypatch.setenv("HARNESS_ZOO", str(zoo))

    def serve(name: str) -> None:
        for file in (shipped[name], weights_path(shipped[name])):
            shutil.copy(file, zoo / f"digits-resnet8-bn{file.suffix}")

    serve("digits-resnet8-bn")
    extract("small")
    computed = count_batches(monkeypatch)
    assert extract("small") == 0
    assert not computed
    serve("digits-resnet8-bn-s1")
    assert extract("small") == 0
    assert len(computed) == 1
    recorded = read_feature_card(card).result["model_fingerprint"]
    assert recorded == harness.load_model("zoo:digits-resnet8-bn").fingerprint
    assert extract("small") == 0
    assert len(computed) == 1


def test_a_set_is_made_anew_when_the_set_that_it_is_made_of_was(
    card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = card.with_name("first.toml")
    first.write_text(CARD)
    card.write_text(CARD.replace('id = "digits"\nsplit = "train"\nsamples = 60', 'id = "features"\nname = "first"'))
    extract("first", "small")
    computed = count_batches(monkeypatch)
    first.write_text(first.read_text().replace("seed = 3", "seed = 4"))
    assert extract("first", "small") == 0
    assert len(computed) == 2


def test_what_was_reached_is_judged_in_full_float32(
    card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    original = Extraction.batch

    def batch(self: Extraction, rows: range, after_step: Callable[[int], None]) -> Shard:
        self.classifier.register_forward_pre_hook(lambda module, images: asked.append(tf32_allowed()))
        return original(self, rows, after_step)

    monkeypatch.setattr(Extraction, "batch", batch)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert extract("small") == 0
    assert asked
    assert not any(asked)
    assert tf32_allowed()


def test_a_set_that_cannot_be_written_leaves_no_remains(
    card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    for writer in ("shards", "run"):
        with monkeypatch.context() as patch:
            patch.setattr(f"harness.features.{writer}.save_file", full)
            assert extract("small") == 2
        printed = capsys.readouterr().err
        assert "cannot be written: No space left on device.\n     make room there; the same command goes on" in printed
        assert not list(Path(".harness/features").rglob("*.tmp"))
    computed = count_batches(monkeypatch)
    assert extract("small") == 0
    assert not computed


def test_a_try_writes_no_set_and_is_not_lost(card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = count_batches(monkeypatch)
    assert extract("small", "--limit", "20", "--batch-size", "10") == 0
    assert card.read_text() == CARD
    assert not features_file(card).exists()
    assert extract("small", "--batch-size", "10") == 0
    assert len(computed) == 6


def test_the_first_images_of_a_set_are_those_of_a_try(card: Path, extract: Extract) -> None:
    card.write_text(CARD.replace('"rand"', '"match"').replace("epsilon = 1.0\n", ""))
    extract("small", "--limit", "16", "--batch-size", "16")
    (shard,) = Path(".harness/features/partial").glob("*/0-16.safetensors")
    tried = load_file(shard)["images"]
    shard.unlink()
    extract("small", "--batch-size", "16")
    assert np.array_equal(made().images[:16], tried)


def test_a_set_trains_a_model_and_a_shifted_test_set_measures_it(card: Path, extract: Extract) -> None:
    extract("small")
    recipe = """
summary = "trained on features"
[architecture]
network = "vgg6"
width = 4
channels = 1
[train_data]
id = "features"
name = "small"
[test_data]
id = "shifted"
of = { id = "digits", split = "test" }
by = 1
[recipe]
epochs = 1
learning_rate = 0.05
"""
    Path("model.toml").write_text(recipe)
    from harness.train.run import train_card

    result = train_card("model.toml", quiet=True)
    assert result["train_data"] == "small"
    assert result["train_fingerprint"] == read_feature_card(card).result["fingerprint"]
    assert result["test_data"] == "digits (test), labels +1"


def test_a_set_is_evaluated_in_a_suite(card: Path, extract: Extract, suite_file: Callable[..., Path]) -> None:
    extract("small")
    suite = suite_file(
        ('id = "digits"', 'id = "features"\nname = "small"'), ("zoo:digits-vgg6-bn", "zoo:digits-resnet8-bn")
    )
    frame = harness.run(suite).frame()
    (clean,) = frame[(frame["mode"] == "clean") & (frame["target"] == "batch")]["id"]
    outcomes = harness.run(suite).outcomes(clean)
    assert outcomes["label"].tolist() == load_dataset("features", {"name": "small"}, 20).labels.tolist()


def test_one_command_makes_several_sets_by_name_and_by_pattern(card: Path, extract: Extract) -> None:
    for name in ("d-one", "d-two"):
        (card.parent / f"{name}.toml").write_text('extend = "small.toml"\nsummary = "another one"\n')
    assert extract("small", "d-*", "d-two", "--limit", "8", "--json") == 0
    assert not features_file(card).exists()
    assert extract("small", "d-*") == 0
    assert len({made(name).fingerprint for name in ("small", "d-one", "d-two")}) == 1


def test_nothing_is_made_when_one_of_several_names_is_unknown(
    card: Path, extract: Extract, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract("small", "c-*") == 2
    assert 'there is no feature set "c-*"' in capsys.readouterr().err
    assert not features_file(card).exists()


def test_sets_of_several_networks_have_one_origin_and_other_pairs_have_another(card: Path, extract: Extract) -> None:
    for name, change in (("other", 'model = "zoo:digits-resnet8-gn"'), ("seed", "seed = 4")):
        (card.parent / f"{name}.toml").write_text(f'extend = "small.toml"\nsummary = "x"\n{change}\n')
    extract("small", "other", "seed")
    one, other, reseeded = (features(name).origin for name in ("small", "other", "seed"))
    assert len(one) == 64
    assert one == other != reseeded
    assert made("small").fingerprint != made("other").fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('kind = "rand"', 'kind = "robust"'), "kind: input should be 'match', 'rand', 'det' or 'conflict'"),
        (("epsilon = 1.0\n", ""), "descent.epsilon is required"),
        (("steps = 8", "step = 8"), "descent.step: unknown key.\n     did you mean: steps, step_size?"),
        (("zoo:digits-resnet8-bn", "zoo:digits-resnet8-bm"), "did you mean: digits-resnet8-bn"),
        (("zoo:digits-resnet8-bn", "zoo:cifar10-resnet20-bn"), "it standardizes 3 channels, they have 1"),
        (('split = "train"', 'split = "tarin"'), "source: split: input should be 'train' or 'test'"),
        (("samples = 60", "samples = 60000"), "source: samples = 60000, but the data set has 1198 images"),
        (("seed = 3", "seed = "), "small.toml cannot be read as TOML"),
    ],
)
def test_a_card_that_cannot_be_extracted_says_why(
    change: tuple[str, str], message: str, card: Path, extract: Extract, capsys: pytest.CaptureFixture[str]
) -> None:
    assert change[0] in CARD
    card.write_text(CARD.replace(*change))
    assert extract("small") == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


def test_an_unknown_set_is_refused_with_suggestions(
    card: Path, extract: Extract, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract("smal") == 2
    assert 'there is no feature set "smal".\n     did you mean: small?' in capsys.readouterr().err


def test_a_damaged_batch_is_named(card: Path, extract: Extract, capsys: pytest.CaptureFixture[str]) -> None:
    extract("small", "--limit", "20")
    (shard,) = Path(".harness/features/partial").glob("*/*.safetensors")
    shard.write_bytes(b"broken")
    assert extract("small", "--limit", "20") == 2
    assert "delete it to compute it anew" in capsys.readouterr().err


def test_a_store_that_cannot_be_made_is_told_before_anything_is_computed(
    card: Path, extract: Extract, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    monkeypatch.setenv("HARNESS_STORE", "file")
    assert extract("small") == 2
    assert "name another store with HARNESS_STORE" in capsys.readouterr().err
