"""`harness train CARD`: from a card to weights beside it that the zoo serves."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

import harness
from harness.cli import main
from harness.core.errors import HarnessError
from harness.data.digits import digits
from harness.models.card import file_sha256, read_card
from harness.train import checkpoint
from harness.train.checkpoint import Training
from harness.train.result import Comparison
from harness.train.run import find_card
from harness.train.weights import write_weights

CARD = """\
# Why this card exists.
summary = "a small network"
seed = 3

[architecture]
network = "vgg6"
norm = "bn"     # this comment stays
width = 4
channels = 1

[train_data]
id = "digits"
split = "train"

[test_data]
id = "digits"
split = "test"

[recipe]
epochs = 2
batch_size = 64
learning_rate = 0.1
crop = 1
"""

Train = Callable[..., int]


@pytest.fixture
def card(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The card of a model "small" in a zoo of its own."""
    zoo = workplace / "zoo"
    zoo.mkdir()
    monkeypatch.setenv("HARNESS_ZOO", str(zoo))
    (zoo / "small.toml").write_text(CARD)
    return zoo / "small.toml"


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """The command line in this process; gives the exit code."""

    def command(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["harness", "train", *arguments, "--device", "cpu"])
        try:
            main()
        except SystemExit as exit:
            return int(str(exit.code or 0))
        return 0

    return command


def test_a_card_is_found_by_file_by_name_and_by_id(card: Path) -> None:
    card = card.rename(card.with_name("rate-0.5.toml"))
    assert {find_card(name) for name in ("rate-0.5", "zoo:rate-0.5", str(card))} == {card}


def test_training_writes_weights_and_a_result_and_keeps_what_people_wrote(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("small") == 0
    assert card.read_text().startswith(CARD)
    result = read_card(card).result
    weights = card.with_suffix(".safetensors")
    assert result["sha256"] == file_sha256(weights)
    assert (result["epochs"], len(result["losses"]), len(result["test_accuracies"])) == (2, 2, 2)
    assert result["clean_accuracy"] == result["test_accuracies"][-1]
    printed = capsys.readouterr()
    assert f"clean accuracy {result['clean_accuracy']:.2%} on digits (test) (n = 599)" in printed.out
    assert printed.err.count("epoch") == 2
    assert sorted(path.name for path in card.parent.iterdir()) == ["curves", "small.safetensors", "small.toml"]
    assert [path.name for path in (card.parent / "curves").iterdir()] == ["small.svg"]
    assert not list(Path(".harness/training").iterdir())


def test_the_result_is_what_the_trained_model_does(card: Path, train: Train) -> None:
    train("small")
    source = digits("test")
    model = harness.load_model("zoo:small")
    pixels = torch.from_numpy(source.read(torch.arange(len(source.labels)).numpy()))
    with torch.no_grad():
        logits = model(pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels)
    correct = (logits.argmax(1).numpy() == source.labels).mean()
    assert correct == pytest.approx(read_card(card).result["clean_accuracy"], abs=1e-9)


def test_a_trained_card_is_left_alone_unless_it_is_forced(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train("small")
    before, weights = card.read_text(), card.with_suffix(".safetensors").read_bytes()
    capsys.readouterr()
    assert train(str(card)) == 0
    assert "is trained already" in capsys.readouterr().err
    assert card.read_text() == before
    assert train("small", "--force") == 0
    assert capsys.readouterr().err.count("epoch") == 2
    # The same seed gives the same weights; only the seconds in the card may differ.
    assert card.with_suffix(".safetensors").read_bytes() == weights
    assert card.read_text().count("[result]") == 1


def test_a_card_without_its_weights_is_trained_again(card: Path, train: Train) -> None:
    train("small")
    card.with_suffix(".safetensors").unlink()
    assert train("small") == 0
    assert card.with_suffix(".safetensors").is_file()


def test_a_card_without_a_snapshot_is_trained_again(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    card.write_text(CARD.replace("epochs = 2", "epochs = 2\nsnapshots = [1]"))
    train("small")
    snapshot = card.with_name("small@epoch1.safetensors")
    before = snapshot.read_bytes()
    snapshot.unlink()
    capsys.readouterr()
    assert train("small") == 0
    assert f"not all weights of its result are there ({snapshot})" in capsys.readouterr().err
    assert snapshot.read_bytes() == before
    assert train("small") == 0
    assert "is trained already" in capsys.readouterr().err


def test_weights_of_a_forced_training_that_did_not_end_are_not_those_of_the_old_result(
    card: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    train("small")
    finished, weights = card.read_text(), card.with_suffix(".safetensors").read_bytes()
    card.write_text(finished.replace("seed = 3", "seed = 4"))
    with monkeypatch.context() as patch:
        patch.setattr("harness.train.run.measure", interrupt)
        assert train("small", "--force") == 130
    assert card.with_suffix(".safetensors").read_bytes() != weights
    capsys.readouterr()
    forced = card.read_text()
    card.write_text(finished)
    assert train("small") == 0
    assert "is trained already" not in capsys.readouterr().err
    assert card.with_suffix(".safetensors").read_bytes() == weights
    card.write_text(forced)
    assert train("small", "--force") == 0
    assert capsys.readouterr().err.count("epoch ") == 0, "the forced training goes on at its end"


def start_and_kill(card: Path) -> None:
    """Train in a process of its own, and kill it after its first epoch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "train", "small", "--device", "cpu"],
        stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(Path(".harness").glob("training/*.checkpoint.pt")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not card.with_suffix(".safetensors").exists()


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    card.write_text(CARD.replace("epochs = 2", "epochs = 25"))
    start_and_kill(card)
    (checkpoint,) = Path(".harness/training").glob("*.checkpoint.pt")
    finished = len(torch.load(checkpoint, weights_only=True)["history"])
    assert 1 <= finished < 25
    assert train("small") == 0
    assert capsys.readouterr().err.count("epoch") == 25 - finished
    resumed = load_file(card.with_suffix(".safetensors"))
    assert train("small", "--force") == 0
    whole = load_file(card.with_suffix(".safetensors"))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize(
    "change",
    [
        ("learning_rate = 0.1", "learning_rate = 0.05"),
        ('split = "test"', 'split = "train"'),
        ("seed = 3", 'seed = 3\nweights = "float16"'),
    ],
)
def test_a_changed_card_does_not_go_on_from_the_training_of_the_old_one(
    change: tuple[str, str],
    card: Path,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("harness.train.run.write_weights", interrupt)
        assert train("small") == 130
    capsys.readouterr()
    card.write_text(CARD.replace(*change))
    assert train("small") == 0
    assert capsys.readouterr().err.count("epoch") == 2
    card.write_text(CARD)
    card.with_suffix(".safetensors").unlink()
    assert train("small") == 0
    assert capsys.readouterr().err.count("epoch") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("learning_rate = 0.1", "learning_rate = 1e6"), "training diverged in epoch"),
        (
            ("learning_rate = 0.1", "learning_rate = 0"),
            "recipe.learning_rate: input should be greater than 0 (given: 0)",
        ),
        (("channels = 1", "channels = 3"), "architecture.channels = 3, but the images of digits (train) have 1"),
        (("crop = 1", "corp = 1"), "recipe.corp: unknown key.\n     did you mean: crop?"),
        (('network = "vgg6"', 'network = "vgg7"'), 'network "vgg7" is not registered.\n     did you mean: vgg6'),
        (('split = "train"', 'split = "tarin"'), "train_data: split: input should be 'train' or 'test'"),
        (('[train_data]\nid = "digits"\n', "[train_data]\n"), "train_data.id: this key is required"),
        (("seed = 3", "seed = "), "small.toml cannot be read as TOML"),
    ],
)
def test_a_card_that_cannot_be_trained_says_why(
    change: tuple[str, str], message: str, card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert change[0] in CARD
    card.write_text(CARD.replace(*change).replace("epochs = 2", "epochs = 6"))
    assert train("small") == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not card.with_suffix(".safetensors").exists()


# --- what else a card can ask for --------------------------------------------------------------------------------


def test_snapshots_are_models_of_the_zoo(card: Path, train: Train) -> None:
    card.write_text(CARD.replace("epochs = 2", "epochs = 3\nsnapshots = [1, 2]"))
    assert train("small") == 0
    result = read_card(card).result
    images, labels = images_to_test()
    for epoch in (1, 2):
        model = harness.load_model(f"zoo:small@epoch{epoch}")
        accuracy = (model(images).argmax(1) == labels).float().mean().item()
        assert accuracy == pytest.approx(result["test_accuracies"][epoch - 1], abs=1e-6)
        assert model.provenance.details["clean_accuracy"] == result["test_accuracies"][epoch - 1]
    assert len({harness.load_model(f"zoo:small{at}").fingerprint for at in ("", "@epoch1", "@epoch2")}) == 3
    with pytest.raises(HarnessError, match="zoo:small, zoo:small@epoch1, zoo:small@epoch2, zoo:small@none"):
        harness.load_model("zoo:small@epoch3")


def test_a_snapshot_that_was_exchanged_is_refused(card: Path, train: Train) -> None:
    card.write_text(CARD.replace("epochs = 2", "epochs = 2\nsnapshots = [1, 2]"))
    train("small")
    first, second = (card.with_name(f"small@epoch{epoch}.safetensors") for epoch in (1, 2))
    first.write_bytes(second.read_bytes())
    with pytest.raises(HarnessError, match="is not the file that the card was written for"):
        harness.load_model("zoo:small@epoch1")


def kill_after_the_first_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings end as soon as they have written one."""

    def save(training: Training, path: Path) -> None:
        checkpoint.save(training, path)
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.train.loop.save", save)


def test_a_training_that_was_killed_behind_its_checkpoint_has_its_snapshot(
    card: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.write_text(CARD.replace("epochs = 2", "epochs = 2\nsnapshots = [1]"))
    with monkeypatch.context() as patch:
        kill_after_the_first_checkpoint(patch)
        assert train("small") == 130
    assert train("small") == 0
    assert harness.load_model("zoo:small@epoch1").provenance.details["clean_accuracy"] > 0


@pytest.mark.parametrize("other", [None, b"weights of another training"])
def test_a_checkpoint_whose_snapshot_is_gone_or_another_trainings_is_refused(
    other: bytes | None, card: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card.write_text(CARD.replace("epochs = 2", "epochs = 2\nsnapshots = [1]"))
    with monkeypatch.context() as patch:
        kill_after_the_first_checkpoint(patch)
        train("small")
    snapshot = card.with_name("small@epoch1.safetensors")
    snapshot.unlink()
    if other:
        snapshot.write_bytes(other)
    assert train("small") == 2
    assert "the weights that it kept after epoch 1 are gone from" in capsys.readouterr().err


def test_half_precision_weights_are_measured_as_they_are_kept(card: Path, train: Train) -> None:
    card.write_text(CARD.replace("seed = 3", 'seed = 3\nweights = "float16"'))
    train("small")
    stored = load_file(card.with_suffix(".safetensors"))
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.int64}
    images, labels = images_to_test()
    accuracy = (harness.load_model("zoo:small")(images).argmax(1) == labels).float().mean().item()
    assert accuracy == pytest.approx(read_card(card).result["clean_accuracy"], abs=1e-6)


def test_a_card_may_start_from_another_model(card: Path, train: Train) -> None:
    train("small")
    tuned = card.with_name("tuned.toml")
    changes = '\n[recipe.changes]\nparameters = ["logits"]\nstatistics = "frozen"\n'
    tuned.write_text(CARD.replace("seed = 3", 'seed = 3\nstart = "zoo:small"') + changes)
    assert train("tuned") == 0
    first, second = (load_file(path.with_suffix(".safetensors")) for path in (card, tuned))
    assert {name for name in first if not torch.equal(first[name], second[name])} == {"logits.weight", "logits.bias"}


TUNED = CARD.replace("seed = 3", 'seed = 3\nstart = "zoo:small"') + '[recipe.changes]\nparameters = ["logits"]\n'


def test_a_card_whose_start_has_other_weights_now_is_not_taken_for_finished(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = card.with_name("tuned.toml")
    tuned.write_text(TUNED)
    train("small")
    assert train("tuned") == 0
    assert read_card(tuned).result["start_fingerprint"] == harness.load_model("zoo:small").fingerprint
    assert train("tuned") == train("tuned", "--verify") == 0
    card.write_text(card.read_text().replace("seed = 3", "seed = 4"))
    assert train("small", "--force") == 0
    capsys.readouterr()
    for option in ([], ["--verify"]):
        assert train("tuned", *option) == 2
        assert "zoo:small has other weights than those that training started from" in capsys.readouterr().err
    assert train("tuned", "--force") == 0
    assert train("tuned") == 0


def test_nothing_is_said_about_a_start_that_was_not_noted_or_is_not_there(card: Path, train: Train) -> None:
    tuned = card.with_name("tuned.toml")
    tuned.write_text(TUNED)
    train("small")
    train("tuned")
    finished = tuned.read_text()
    tuned.write_text(finished.replace("start_fingerprint = ", "# "))
    card.write_text(card.read_text().replace("seed = 3", "seed = 4"))
    train("small", "--force")
    assert train("tuned") == train("tuned", "--verify") == 0
    tuned.write_text(finished)
    card.with_suffix(".safetensors").unlink()
    assert train("tuned") == 0


def test_a_start_that_does_not_fit_is_refused(card: Path, train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    train("small")
    card.with_name("other.toml").write_text(
        CARD.replace("width = 4", "width = 5").replace("seed = 3", 'seed = 3\nstart = "zoo:small"')
    )
    assert train("other") == 2
    assert "other: zoo:small" in capsys.readouterr().err


def test_the_result_tells_robust_accuracies_and_verify_finds_them_again(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    card.write_text(CARD + "\n[recipe.adversarial]\nepsilon = 0.05\nsteps = 1\n")
    train("small")
    result = read_card(card).result
    assert result["robust_threats"] == ["L2 0.25", "L∞ 1/255", "L∞ 0.05"]
    clean, (_, near, far) = result["clean_accuracy"], result["robust_accuracies"]
    assert clean + 0.02 > near > far
    capsys.readouterr()
    assert train("small", "--verify") == 0
    assert capsys.readouterr().out.count("holds") == 4
    card.write_text(card.read_text().replace(f"clean_accuracy = {clean}", "clean_accuracy = 0.999"))
    assert train("small", "--verify") == 1
    assert "differs" in capsys.readouterr().out


def test_a_threat_model_of_the_card_or_its_result_alone_is_told(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    card.write_text('robustness = [{ norm = "linf", epsilon = 0.05 }]\n' + CARD)
    train("small")
    finished = card.read_text()
    capsys.readouterr()
    card.write_text(finished.replace("robust_threats = ", "# ").replace("robust_accuracies = ", "# "))
    assert train("small", "--verify") == 0
    assert "not recorded" in capsys.readouterr().out
    card.write_text(finished.replace('robustness = [{ norm = "linf", epsilon = 0.05 }]', "robustness = []"))
    assert train("small", "--verify") == 1
    assert capsys.readouterr().out.count("differs") == 1


@pytest.mark.parametrize(
    ("recorded", "now", "verdict"),
    [(0.9, 0.902, "holds"), (0.9, 0.9021, "differs"), (None, 0.9, "not recorded"), (0.9, None, "differs")],
)
def test_a_difference_of_up_to_0_2_points_holds(recorded: float | None, now: float | None, verdict: str) -> None:
    assert Comparison("clean accuracy", recorded, now).verdict == verdict


def test_every_difference_of_two_images_in_a_thousand_holds() -> None:
    assert all(Comparison("", count / 1000, (count + 2) / 1000).holds for count in range(999))


def test_a_card_cannot_be_verified_before_it_was_trained(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("small", "--verify") == 2
    assert "harness train small" in capsys.readouterr().err


def test_a_card_outside_of_the_zoo_is_verified_though_the_zoo_has_one_of_its_name(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    other = card.parent.parent / "elsewhere" / "small.toml"
    other.parent.mkdir()
    other.write_text(CARD)
    assert train(str(other)) == 0
    assert train(str(other), "--verify") == 0
    card.write_text(CARD.replace("epochs = 2", "epochs = 1"))
    assert train("small") == 0
    capsys.readouterr()
    assert train(str(other), "--verify") == 0
    assert f"{read_card(other).result['clean_accuracy']:.2%}" in capsys.readouterr().out


def test_a_card_that_was_changed_after_it_was_trained_is_not_taken_for_finished(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train("small")
    card.write_text(card.read_text().replace("epochs = 2", "epochs = 1"))
    assert train("small") == 2
    assert "was changed after it was trained.\n     undo the change, or train it anew with --force" in (
        capsys.readouterr().err
    )
    assert train("small", "--force") == 0
    assert read_card(card).result["epochs"] == 1


def test_a_card_whose_training_data_were_changed_is_not_taken_for_finished(
    card: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    train("small")
    finished = card.read_text()
    changed = finished.replace('split = "train"', 'split = "test"')
    # Results without a digest of the table tell the data's name and fingerprint.
    old = changed.replace("asked_data = ", "# ")
    for text, option in ((changed, []), (old, []), (changed, ["--verify"]), (old, ["--verify"])):
        card.write_text(text)
        assert train("small", *option) == 2
        assert re.search("was changed after|not those that the card was trained on", capsys.readouterr().err)
    card.write_text(changed)
    with pytest.raises(HarnessError, match="the card was changed after it was trained"):
        harness.load_model("zoo:small")
    card.write_text(finished.replace("asked_data = ", "# "))
    assert train("small") == train("small", "--verify") == 0


def test_the_curve_of_robustnorm_ends_with_the_accuracy_of_the_result(card: Path, train: Train) -> None:
    card.write_text(CARD.replace('norm = "bn"', 'norm = "rn"'))
    train("small")
    result = read_card(card).result
    assert result["test_accuracies"][-1] == pytest.approx(result["clean_accuracy"], abs=1e-9)


def test_weights_that_are_too_large_for_half_precision_are_not_kept(card: Path) -> None:
    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, 1e6)
    half = read_card(card).model_copy(update={"weights": "float16"})
    with pytest.raises(HarnessError, match="a weight is too large for float16"):
        write_weights(network, half, card.with_suffix(".safetensors"))
    assert not card.with_suffix(".safetensors").exists()


def test_a_store_that_cannot_be_made_is_told_before_training(
    card: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    monkeypatch.setenv("HARNESS_STORE", "file")
    assert train("small") == 2
    printed = capsys.readouterr().err
    assert "name another store with HARNESS_STORE" in printed
    assert "epoch" not in printed


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse larger files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one_and_no_remains(
    card: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        kill_after_the_first_checkpoint(patch)
        assert train("small") == 130
    (kept,) = Path(".harness/training").iterdir()
    with files_of_at_most(kept.stat().st_size // 2):
        assert train("small") == 2
    printed = capsys.readouterr().err
    assert "File too large.\n     make room there; the same command goes on from epoch 2" in printed
    assert list(Path(".harness/training").iterdir()) == [kept]
    assert train("small") == 0
    assert capsys.readouterr().err.count("epoch ") == 1


def test_weights_that_cannot_be_written_leave_no_remains(
    card: Path, train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(state: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("harness.train.weights.save_file", full)
        assert train("small") == 2
    printed = capsys.readouterr().err
    assert "small.safetensors cannot be written: No space left on device.\n     make room there" in printed
    assert [path.name for path in card.parent.iterdir()] == ["small.toml"]
    assert train("small") == 0
    assert "epoch " not in capsys.readouterr().err


def images_to_test() -> tuple[torch.Tensor, torch.Tensor]:
    """Images in [0, 1] and labels of the card's test set."""
    source = digits("test")
    pixels = torch.from_numpy(source.read(torch.arange(len(source.labels)).numpy()))
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels, torch.from_numpy(source.labels)
