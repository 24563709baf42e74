"""A run that was killed or interrupted goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import harness
from harness.cells import Cell
from harness.runner import Results
from harness.store import Store

SuiteFile = Callable[..., Path]

BATCH, IMAGES = 4, 60

SLOW = (
    ('name = "sound"', f'name = "sound"\nbatch_size = {BATCH}'),
    ("samples = 20", f"samples = {IMAGES}"),
    ("steps = 3", "steps = 100"),
    ("[whitebox]", '[transfer]\nsurrogates = "plain"'),
)
"""One crafting for two targets, in fifteen batches that take a while."""


@pytest.fixture
def slow(suite_file: SuiteFile) -> Path:
    return suite_file(*SLOW)


def stop(path: Path, signal_number: int, batches: int = 3) -> subprocess.CompletedProcess[str]:
    """Start a run as a user does, and send it a signal once some batches of every cell are finished."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=path.parent, env=dict(os.environ),
        # What runs in a shell's background ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list((path.parent / ".harness" / "partial").glob("*/*.parquet"))) < 2 * batches:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal_number)
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def resume(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Results, dict[str, int]]:
    """Run a suite again; also how many samples of each cell were computed now."""
    computed: dict[str, int] = {}
    append = Store.append

    def count(self: Store, id: str, outcomes: pd.DataFrame) -> None:
        computed[id] = computed.get(id, 0) + len(outcomes)
        append(self, id, outcomes)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", count)
        return harness.run(path), computed


def assert_as_if_uninterrupted(results: Results, path: Path) -> None:
    whole = harness.run(path, store=path.parent / "uninterrupted")
    assert whole.outcome.computed == 4
    for cell in results.plan.cells.cells:
        assert_frame_equal(results.outcomes(cell.id), whole.outcomes(cell.id))
        assert len(results.outcomes(cell.id)) == IMAGES


def transferred(results: Results) -> list[Cell]:
    return [cell for cell in results.plan.cells.cells if cell.mode == "transfer"]


def test_a_killed_run_goes_on_from_its_finished_batches(slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stop(slow, signal.SIGKILL).returncode == -signal.SIGKILL
    store = Store(slow.parent / ".harness")
    (partial, *_) = (store.path / "partial").iterdir()
    (partial / ".000099.parquet.1.tmp").write_bytes(b"cut off in the middle of writing")
    kept = {folder.name: store.partial(folder.name) for folder in (store.path / "partial").iterdir()}
    results, computed = resume(slow, monkeypatch)
    assert set(kept) == set(computed) == {cell.id for cell in transferred(results)}
    finished = min(len(frame) for frame in kept.values() if frame is not None)
    assert finished >= 2 * BATCH
    # A batch may have been kept for one target and not for the other; then it is computed again for both.
    assert set(computed.values()) == {IMAGES - finished}
    assert not list((store.path / "partial").iterdir())
    assert_as_if_uninterrupted(results, slow)


def test_an_interrupted_run_says_that_it_goes_on_and_goes_on(slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = stop(slow, signal.SIGINT)
    assert stopped.returncode == 130
    assert stopped.stderr.strip().endswith(
        "interrupted. What is finished is stored; the same command goes on from there."
    )
    assert "Traceback" not in stopped.stderr
    results, computed = resume(slow, monkeypatch)
    assert 0 < max(computed.values()) < IMAGES
    assert_as_if_uninterrupted(results, slow)


def forget(results: Results, *rows: list[int]) -> dict[str, pd.DataFrame]:
    """Make finished attacks unfinished: take their records away and keep some samples as batches."""
    attacked = {cell.id: results.outcomes(cell.id) for cell in results.plan.cells.cells if cell.mode != "clean"}
    for id, outcomes in attacked.items():
        shutil.rmtree(results.store.path / "records" / id[:2] / id)
        for batch in rows:
            results.store.append(id, outcomes.iloc[batch])
    return attacked


@pytest.mark.parametrize("section", ["[whitebox]", "[transfer]"])
def test_whichever_samples_were_finished_the_others_alone_are_computed(
    section: str, suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite_file(("samples = 20", f"samples = {IMAGES}"), ("[whitebox]", section))
    whole = harness.run(path)
    expected = forget(whole, [0, 7, 9], [20, 21, 22], [59, 3])
    for id in expected:
        damaged = whole.store.path / "partial" / id / "000001.parquet"
        damaged.write_bytes(damaged.read_bytes()[:-20])
    results, computed = resume(path, monkeypatch)
    assert computed == dict.fromkeys(expected, IMAGES - 5)
    for id, outcomes in expected.items():
        assert_frame_equal(results.outcomes(id), outcomes)


def test_a_batch_that_was_kept_for_one_target_alone_counts_once(
    suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite_file(("[whitebox]", '[transfer]\nsurrogates = "plain"'))
    whole = harness.run(path)
    expected = forget(whole, [0, 1])
    one, other = expected
    whole.store.append(one, expected[one].iloc[[4, 5, 6]])
    results, computed = resume(path, monkeypatch)
    assert computed == {one: 20 - 2, other: 20 - 2}
    for id, outcomes in expected.items():
        assert_frame_equal(results.outcomes(id), outcomes)
        assert results.store.read(id).n == 20
