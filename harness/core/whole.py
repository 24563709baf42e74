"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.core.errors import HarnessError, in_one_line


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside a file that no reader looks for and no other process uses; what was written there is renamed.

    The folder is made if it is not there. What goes wrong is raised, and nothing of the file stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except Exception:
        # Half a file would take up what room there is on a full disk, and no one would look for it.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def written_whole(path: Path, way_on: str) -> Iterator[Path]:
    """The same for files that torch and safetensors write, whose writers have errors of their own.

    Args:
        path: the file.
        way_on: what there is to do where it cannot be written, as the last line of the error.

    Raises:
        HarnessError: when it cannot be written, as on a full disk.
    """
    from safetensors import SafetensorError  # reports, which use the rest, start without it

    try:
        with whole(path) as temporary:
            yield temporary
    except (OSError, RuntimeError, SafetensorError) as error:
        # torch's hides what the system said behind it.
        said = error.__context__ if isinstance(error.__context__, OSError) else error
        raise HarnessError(f"{path} cannot be written: {in_one_line(said)}.\n     {way_on}") from None
