"""Downloads that continue where they stopped, one at a time per file, and whole files only under the final name."""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from harness.models.card import file_sha256

TIMEOUT_SECONDS = 30.0
"""Silence after which a server counts as gone."""

ATTEMPTS = 3
"""How often a connection that breaks is made again before the download fails."""

CHUNK = 1 << 18
"""Bytes written at once."""


class DamagedDownloadError(OSError):
    """A file came whole, but it is not the one that was promised."""


class Part(NamedTuple):
    """What has come of a file so far, beside the place where the file will be."""

    path: Path
    """The bytes."""
    tag: Path
    """What the server calls this version of the file: its ETag or date. Only with it a part can be continued."""

    @classmethod
    def of(cls, target: Path) -> Part:
        """The part of a file."""
        return cls(target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.tag"))

    @property
    def size(self) -> int:
        """Bytes that need not come again."""
        return self.path.stat().st_size if self.path.exists() and self.tag.exists() else 0

    def forget(self) -> None:
        """Begin from nothing next time."""
        self.tag.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def download(url: str, target: Path, sha256: str | None = None) -> None:
    """Download a file, unless it is there, or there once another process that is downloading it has ended.

    What an interrupted download got stays beside the target, and is continued where the server can and the file there
    is still the same.

    Args:
        url: where from.
        target: the file; it appears whole and checked, or not at all.
        sha256: the first digits of its hash, or all of them.

    Raises:
        OSError, HTTPException: when it cannot be had; `DamagedDownloadError` when it is another file, which is deleted.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.exists():
            return
        part = Part.of(target)
        for left in reversed(range(ATTEMPTS)):
            try:
                _receive(url, part, target.name)
                break
            except (ConnectionError, TimeoutError, HTTPException):
                if not left:
                    raise
        found = file_sha256(part.path)
        if sha256 and not found.startswith(sha256):
            part.forget()
            raise DamagedDownloadError(
                f"what came has the sha256 {found}, which should start with {sha256}; it is deleted"
            )
        part.path.replace(target)
        part.tag.unlink(missing_ok=True)


def _receive(url: str, part: Part, name: str) -> None:
    """Get the rest of a file, or all of it. Raises ConnectionError when less came than was announced."""
    had = part.size
    headers = {"Range": f"bytes={had}-", "If-Range": part.tag.read_text(encoding="ascii")} if had else {}
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if not (had and error.code == 416):
            raise
        part.forget()
        raise ConnectionResetError("the server has nothing to add to what had come") from error
    with response:
        if response.status != 206:
            had = 0
            part.forget()
            if version := _version(response):
                part.tag.write_text(version, encoding="ascii")
        length = response.headers["Content-Length"]
        total = had + int(length) if length else None
        _write(response, part.path, name, had, total)
    if total is not None and part.path.stat().st_size != total:
        raise ConnectionError(f"the connection was cut after {part.path.stat().st_size} of {total} bytes")


def _version(response: HTTPResponse) -> str | None:
    """A name for a file's content. Weak ETags are none: they call different bytes the same."""
    etag: str = response.headers["ETag"] or ""
    return etag if etag and not etag.startswith("W/") else response.headers["Last-Modified"]


def _write(response: HTTPResponse, path: Path, name: str, had: int, total: int | None) -> None:
    """Append what comes to a file, and show how far it is where somebody is looking."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        path.open("ab") as file,
    ):
        task = progress.add_task(name, completed=had, total=total)
        while chunk := response.read(CHUNK):
            file.write(chunk)
            progress.advance(task, len(chunk))
