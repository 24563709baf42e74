"""Who works on what: claims of this process, of others, of the dead and of other machines."""

from __future__ import annotations

import errno
import io
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.executors.claims import ABANDONED, Claims


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims")


def claim_of(claims: Claims, owner: str, age: float = 0.0) -> Path:
    """A claim on "job" that somebody else wrote."""
    claims.folder.mkdir(exist_ok=True)
    path = claims.folder / "job"
    path.write_text(owner, encoding="utf-8")
    os.utime(path, (time.time() - age,) * 2)
    return path


def is_ours(claims: Claims) -> bool:
    with claims.claimed("job") as ours:
        return ours


def test_a_claim_is_a_file_for_as_long_as_the_job_runs(claims: Claims) -> None:
    with claims.claimed("job") as ours:
        assert ours
        assert (claims.folder / "job").read_text("utf-8") == f"{platform.node()} {os.getpid()}"
        assert is_ours(claims), "a run inside a run does not wait for itself"
    assert list(claims.folder.iterdir()) == []


def test_on_a_full_disk_a_job_is_ours_and_no_claim_without_a_name_is_left(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "full")

    def create(self: Path, mode: str, encoding: str) -> Full:
        self.touch(exist_ok=False)
        return Full()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", create)
        patch.setattr(Path, "read_text", lambda path, encoding: "")
        assert is_ours(claims)
    assert list(claims.folder.iterdir()) == []


def test_a_claim_ends_when_the_job_fails(claims: Claims) -> None:
    with pytest.raises(KeyboardInterrupt), claims.claimed("job"):
        raise KeyboardInterrupt
    assert list(claims.folder.iterdir()) == []


def test_what_a_living_process_of_this_machine_has_is_not_ours_however_long(claims: Claims) -> None:
    sleeping = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        path = claim_of(claims, f"{platform.node()} {sleeping.pid}", age=10 * ABANDONED)
        assert not is_ours(claims)
        assert path.exists(), "and is left alone"
    finally:
        sleeping.kill()
        sleeping.wait()
    assert is_ours(claims), "after its death it is"
    assert not path.exists()


@pytest.mark.parametrize(("age", "ours"), [(0.0, False), (ABANDONED - 60, False), (ABANDONED + 60, True)])
def test_what_another_machine_has_is_ours_once_it_was_not_renewed_for_long(
    age: float, ours: bool, claims: Claims
) -> None:
    claim_of(claims, "elsewhere 1", age)
    assert is_ours(claims) is ours


def test_a_claim_is_renewed_while_the_job_runs(claims: Claims) -> None:
    with claims.claimed("job"):
        path = claim_of(claims, f"{platform.node()} {os.getpid()}", age=1000)
        claims.renew()
        assert time.time() - path.stat().st_mtime < 100


def test_where_no_claim_can_be_written_everything_is_ours(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("no folder", encoding="utf-8")
    assert is_ours(Claims(tmp_path / "claims"))
