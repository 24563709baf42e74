"""Files that are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from harness.core.errors import HarnessError, in_one_line


@contextmanager
def written_whole(path: Path, way_on: str) -> Iterator[Path]:
    """Give a temporary name to write a file under, and rename it at the end: a kill leaves the old file as it was.

    Args:
        path: the file.
        way_on: what there is to do where it cannot be written, as the last line of the error.

    Raises:
        HarnessError: when it cannot be written, as on a full disk; nothing of it stays behind.
    """
    temporary = path.with_suffix(".tmp")
    try:
        yield temporary
        temporary.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        # The writers of torch and safetensors have errors of their own; torch's hides what the system said behind it.
        temporary.unlink(missing_ok=True)
        said = error.__context__ if isinstance(error.__context__, OSError) else error
        raise HarnessError(f"{path} cannot be written: {in_one_line(said)}.\n     {way_on}") from None
