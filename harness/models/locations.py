"""Where a file of weights lies: on this machine, at a URL, or in a repository of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import HarnessError
from harness.models.card import file_sha256
from harness.models.downloads import fetch_hub, fetch_url

PIN = "#sha256="
"""Between a file's place and its hash."""


class Located(NamedTuple):
    """A file of weights on this machine."""

    path: Path
    """The file."""
    label: str
    """How reports name it."""


def locate(name: str, where: str) -> Located:
    """The file PATH, https://HOST/FILE or hf://USER/REPOSITORY/FILE; with #sha256=HASH it must be this one.

    Raises:
        HarnessError: for a place of another form, a file that cannot be had, and one with another hash.
    """
    place, pinned, sha256 = name.partition(PIN)
    if pinned and not re.fullmatch(r"[0-9a-f]{8,64}", sha256):
        raise HarnessError(f"{where}: after {PIN} belong the first 8 to 64 hexadecimal digits of the file's sha256")
    scheme, separator, address = place.partition("://")
    if not separator:
        located = Located(Path(place).expanduser(), Path(place).name)
    elif scheme == "hf":
        located = _on_hub(address, where)
    elif scheme in ("https", "http"):
        # Files of different places may have one name.
        folder = hashlib.sha256(place.encode()).hexdigest()[:12]
        located = Located(fetch_url(place, where, sha256=sha256 or None, folder=folder), place.partition("?")[0])
    else:
        raise HarnessError(f'{where}: "{scheme}://" is unknown; write a path, https://... or hf://USER/REPOSITORY/FILE')
    if sha256 and located.path.is_file() and not (found := file_sha256(located.path)).startswith(sha256):
        raise HarnessError(f"{where}: {located.path} is another file: its sha256 is {found}")
    return located


def _on_hub(address: str, where: str) -> Located:
    user, _, rest = address.partition("/")
    repository, _, file = rest.partition("/")
    if not (user and repository and file):
        raise HarnessError(f"{where}: write hf://USER/REPOSITORY/FILE, or hf://USER/REPOSITORY@REVISION/FILE")
    return Located(fetch_hub(f"{user}/{repository}", (file,), where), f"{user}/{repository}/{file}")
