"""A run that was killed or interrupted goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import os
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


@pytest.mark.parametrize("section", ["[whitebox]", "[transfer]"])
def test_whichever_samples_were_finished_the_others_alone_are_computed(
    section: str, suite_file: SuiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite_file(("samples = 20", f"samples = {IMAGES}"), ("[whitebox]", section))
    whole = harness.run(path)
    cells = [cell for cell in whole.plan.cells.cells if cell.mode != "clean"]
    for cell in cells:
        outcomes = whole.outcomes(cell.id)
        (whole.store.path / "records" / cell.id[:2] / cell.id).rename(
            whole.store.path / f"old {cell.surrogate} {cell.target}"
        )
        for rows in ([0, 7, 9], [20, 21, 22], [59, 3]):
            whole.store.append(cell.id, outcomes.iloc[rows])
        damaged = whole.store.path / "partial" / cell.id / "000001.parquet"
        damaged.write_bytes(damaged.read_bytes()[:-20])
    results, computed = resume(path, monkeypatch)
    assert computed == {cell.id: IMAGES - 5 for cell in cells}
    for cell in cells:
        old = whole.store.path / f"old {cell.surrogate} {cell.target}" / "outcomes.parquet"
        assert_frame_equal(results.outcomes(cell.id), pd.read_parquet(old))
