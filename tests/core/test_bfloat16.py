"""Passes in bfloat16 on CPUs that have no instructions for it: they are told, not replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.core.bfloat16 import is_slow_in_bfloat16
from tests.commandline import calling

TOLD = "this CPU has no instructions for bfloat16"


@pytest.fixture(params=[False, True])
def supported(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A CPU that has them, and one that has not."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: request.param)
    return bool(request.param)


def test_it_is_the_cpu_that_is_slow(supported: bool) -> None:
    assert is_slow_in_bfloat16(torch.device("cpu")) is not supported
    assert not is_slow_in_bfloat16(torch.device("cuda"))


def test_a_run_tells_before_it_starts(
    supported: bool,
    suite_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = calling(monkeypatch, capsys)
    path = suite_file(("[dataset]", 'precision = "screen"\n[dataset]'), ("samples = 20", "samples = 2"))
    assert (TOLD in call("run", path).errors) is not supported
    assert TOLD not in call("run", path, "--set", "precision=float32").errors
