"""Who works on what: processes that share a store, on one machine or several, take different jobs.

A claim is a file. It keeps work from being done twice and decides nothing else: records are written whole, whoever
makes them, so that a claim that is lost or left behind costs time and no result.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

ABANDONED = 6 * 3600.0
"""Seconds after which a claim of another machine counts as left behind, if it was not renewed."""

RENEWED = 60.0
"""Seconds after which a claim is renewed, at most."""


class Claims:
    """The claims in a folder."""

    def __init__(self, folder: Path) -> None:
        """The folder need not exist."""
        self.folder = folder
        self._held, self._renewed = folder, 0.0

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Whether a job is ours, for as long as the context lasts; where it is another process's, it is not.

        A folder that cannot be written to leaves everything ours.
        """
        path = self.folder / name
        if not self._take(path):
            yield False
            return
        self._held = path
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                if _owner(path) == _self():
                    path.unlink()

    def renew(self) -> None:
        """Say that we are still at the job claimed last."""
        if time.monotonic() - self._renewed > RENEWED:
            self._renewed = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self._held)

    def _take(self, path: Path) -> bool:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not _create(path):
                if _is_held(path):
                    return False
                path.unlink(missing_ok=True)
                return _create(path)
        except OSError:
            pass
        return True


def _create(path: Path) -> bool:
    """Write our name into a new file; False when it is there already. Raises OSError and leaves none when it cannot."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(_self())
    except OSError:
        # A claim without a name would count as that of a process that is about to write it.
        path.unlink(missing_ok=True)
        raise
    return True


def _is_held(path: Path) -> bool:
    """Whether another process that seems to be alive holds a claim."""
    try:
        owner, age = _owner(path), time.time() - path.stat().st_mtime
    except FileNotFoundError:  # released in this moment; what was done is in the store
        return True
    machine, _, process = owner.rpartition(" ")
    if owner == _self():
        return False
    if machine != platform.node():
        return age < ABANDONED
    # An owner who has not written its name yet is alive.
    return not process.isdigit() or _is_running(int(process))


def _owner(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _self() -> str:
    return f"{platform.node()} {os.getpid()}"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
