"""Processes that share a store share the work."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from harness.executors import sharing
from harness.executors.local import LocalExecutor
from harness.plan import make_plan
from harness.store import Store

SuiteFile = Callable[..., Path]


@pytest.fixture
def other() -> Iterator[int]:
    """The id of another process, which lives until the test is over."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    yield process.pid
    process.kill()
    process.wait()


def test_jobs_of_other_processes_come_last_and_are_waited_for(
    suite_file: SuiteFile, other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite_file()
    plan, store = make_plan(path), Store()
    store.open()
    clean, _, crafted, _ = (job.cells[0].id for job in plan.jobs)
    (store.path / "claims").mkdir()
    for id in (clean, crafted):
        (store.path / "claims" / id).write_text(f"{platform.node()} {other}", encoding="utf-8")
    said, slept = list[str](), list[float]()

    def finish_elsewhere(seconds: float) -> None:
        """The other process finishes what it is at."""
        slept.append(seconds)
        for claim in (store.path / "claims").iterdir():
            claim.unlink()
        if len(slept) == 1:
            (store.path / "claims" / crafted).write_text(f"{platform.node()} {other}", encoding="utf-8")

    monkeypatch.setattr("harness.executors.sharing.time.sleep", finish_elsewhere)
    outcome = LocalExecutor(plan, store, torch.device("cpu"), describe=said.append).run()
    assert outcome.computed == 4
    assert slept == [sharing.POLL] * 2, "once before anything is crafted, once at the end"
    order = [text.removeprefix("clean predictions of ") for text in said]
    assert order == [
        "batch", "waiting for another process: clean predictions of plain", "plain",
        "PGD L∞ 8/255 on batch", "waiting for another process: PGD L∞ 8/255 on plain", "PGD L∞ 8/255 on plain",
    ]  # fmt: skip
    assert list((store.path / "claims").iterdir()) == []
