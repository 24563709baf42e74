"""Downloads that continue where they stopped, from a server on this machine."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from filelock import FileLock
from rich.progress import Progress

from harness.models import resumable
from harness.models.resumable import ATTEMPTS, DamagedDownloadError, download
from tests.models.server import FileServer, serving

CONTENT = os.urandom(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights.bin"


def _left(target: Path) -> set[str]:
    """What lies in the folder, but for the lock."""
    return {file.name for file in target.parent.iterdir()} - {"weights.bin.lock"}


def test_a_file_comes_whole_and_alone(server: FileServer, target: Path) -> None:
    download(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT
    assert _left(target) == {"weights.bin"}
    assert server.asked == [None]


def test_a_connection_that_is_cut_is_made_again_where_it_stopped(server: FileServer, target: Path) -> None:
    server.cuts = [300_000, 200_000]
    download(server.url, target, SHA256[:8])
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_connection_that_keeps_breaking_fails_and_the_next_call_continues(server: FileServer, target: Path) -> None:
    server.cuts = [100_000] * ATTEMPTS
    with pytest.raises(ConnectionError, match="cut after 300000 of 1000000 bytes"):
        download(server.url, target, SHA256)
    assert _left(target) == {"weights.bin.part", "weights.bin.part.tag"}
    download(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-"
    assert _left(target) == {"weights.bin"}


def test_an_interrupted_download_keeps_its_part_and_continues(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "advance", impatient)
        with pytest.raises(KeyboardInterrupt):
            download(server.url, target, SHA256)
    assert _left(target) == {"weights.bin.part", "weights.bin.part.tag"}
    download(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={resumable.CHUNK}-"]


def test_a_server_that_cannot_resume_sends_everything_again(server: FileServer, target: Path) -> None:
    server.cuts, server.ranges = [300_000], False
    download(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_file_that_changed_meanwhile_is_not_glued_to_its_old_beginning(server: FileServer, target: Path) -> None:
    server.cuts = [100_000] * ATTEMPTS
    with pytest.raises(ConnectionError):
        download(server.url, target)
    server.content, server.etag = CONTENT[::-1], '"two"'
    download(server.url, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_without_a_name_for_the_version_nothing_is_resumed(server: FileServer, target: Path) -> None:
    server.cuts, server.etag = [300_000], None
    download(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, None]


def test_a_part_that_was_already_whole_does_not_stand_in_the_way(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    (target.parent / "weights.bin.part").write_bytes(CONTENT)
    (target.parent / "weights.bin.part.tag").write_text('"one"')
    download(server.url, target, SHA256)
    assert target.read_bytes() == CONTENT


def test_a_file_with_another_hash_is_deleted(server: FileServer, target: Path) -> None:
    with pytest.raises(DamagedDownloadError, match=f"sha256 {SHA256}, which should start with 00000000"):
        download(server.url, target, "00000000")
    assert _left(target) == set()


def test_what_the_server_refuses_is_asked_for_once(server: FileServer, target: Path) -> None:
    server.status = 404
    with pytest.raises(HTTPError, match="404"):
        download(server.url, target, SHA256)
    assert server.asked == [None]
    assert _left(target) == set()


def test_a_server_that_is_not_there_is_an_error(target: Path) -> None:
    with serving(b"") as gone:
        url = gone.url
    with pytest.raises(URLError):
        download(url, target)


def test_a_server_that_falls_silent_counts_as_gone(
    server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "TIMEOUT_SECONDS", 0.05)
    released = threading.Event()
    monkeypatch.setattr(server, "process_request", lambda *_: released.wait(2))
    try:
        with pytest.raises((URLError, TimeoutError)):
            download(server.url, target)
    finally:
        released.set()


def test_several_at_once_download_once(server: FileServer, target: Path) -> None:
    threads = [threading.Thread(target=download, args=(server.url, target, SHA256)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_download_waits_for_the_one_that_holds_the_lock(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    thread = threading.Thread(target=download, args=(server.url, target))
    with FileLock(f"{target}.lock"):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        target.write_bytes(b"of the other process")
    thread.join()
    assert server.asked == []
    assert target.read_bytes() == b"of the other process"


def test_progress_is_shown_on_terminals_only(
    server: FileServer, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(server.url, target)
    assert capsys.readouterr() == ("", "")
