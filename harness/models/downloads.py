"""Weights from the network, kept in the caches that torch and Hugging Face keep them in anyway.

A machine without network uses the same caches: the errors say which file to fetch elsewhere and where to put it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch

from harness.core.errors import HarnessError, Unavailable
from harness.core.libraries import library
from harness.models.card import file_sha256
from harness.models.resumable import download

_HASH = re.compile(r"-([0-9a-f]{8,})\.")
"""torch.hub's naming convention: the first digits of a file's sha256 stand in its name."""

_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
"""Eight digits that say when a file was made."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
"""The name of a large file in the Hugging Face cache."""


def fetch_url(url: str, where: str, *, sha256: str | None = None, folder: str = "") -> Path:
    """The file of a URL, from torch.hub's cache or else downloaded into it, with its hash checked either way.

    Args:
        url: where from.
        where: how errors begin.
        sha256: what the file must be; default the first digits that its name promises, where it does; a date is none.
        folder: of the cache, for names that may mean several files.

    Raises:
        Unavailable: when it cannot be downloaded.
        HarnessError: when its content does not have the hash that was promised.
    """
    path = Path(torch.hub.get_dir()).expanduser() / "checkpoints" / folder / Path(urlparse(url).path).name
    promised = sha256 or _promised(path.name)
    if not path.exists():
        try:
            download(url, path, promised)
        except (OSError, HTTPException) as error:
            raise Unavailable(
                f"{where}: the weights are not on this machine and cannot be downloaded ({_reason(error)}).\n"
                f"     fetch {url}\n     and put it at {path}"
            ) from error
    if promised and not (found := file_sha256(path)).startswith(promised):
        raise HarnessError(
            f"{where}: {path} is damaged or another file: its sha256 starts with {found[:8]}, "
            f"{'the id' if sha256 else 'its name'} says {promised}.\n"
            f"     delete it, and run again or fetch it from {url}"
        )
    return path


def _promised(name: str) -> str | None:
    """The first digits of a file's sha256 by its name."""
    found = _HASH.search(name)
    return found[1] if found and not _DATE.fullmatch(found[1]) else None


def fetch_hub(repository: str, files: Sequence[str], where: str, *, beside: Sequence[str] = ()) -> Path:
    """The first of `files` that a Hugging Face repository ("user/name", or "user/name@revision") has.

    `beside` are files that will be wanted next; they stand in the error's command too.

    Raises:
        Unavailable: when it is neither in the cache nor to be had, or the repository has none of the files.
        HarnessError: when it is damaged.
    """
    hub, errors = library("huggingface_hub"), library("huggingface_hub.errors")
    name, _, revision = repository.partition("@")
    reason, out_of_reach = "the repository has no such file", not hub_in_reach()
    for file in files:
        try:
            path = hub.hf_hub_download(name, file, revision=revision or None, local_files_only=out_of_reach)
            return _undamaged(Path(path), where)
        except errors.LocalEntryNotFoundError:
            reason, out_of_reach = "not in the cache, and the hub is out of reach", True
        except errors.EntryNotFoundError:
            continue
        except (OSError, errors.HFValidationError) as error:
            reason = _reason(error)
            break
    hub_cache = Path(library("huggingface_hub.constants").HF_HUB_CACHE)
    folder = hub_cache / f"models--{name.replace('/', '--')}"
    option = f" --revision {revision}" if revision else ""
    raise Unavailable(
        f"{where}: {' or '.join(files)} of the Hugging Face repository {name} cannot be had ({reason}).\n"
        f"     on a machine with network: hf download {name} {' '.join([files[0], *beside])}{option}\n"
        f"     then copy its folder {folder.name} into {hub_cache}; the file belongs at\n"
        f"     {folder / 'snapshots' / '<commit>' / files[0]},\n"
        f"     with the commit's id in {folder / 'refs' / (revision or 'main')}"
    )


@cache
def hub_in_reach() -> bool:
    """Whether the Hugging Face hub answers, asked once per process.

    Its library tries an unreachable one for half a minute, for every file anew, and prints each try.
    """
    try:
        session = library("huggingface_hub").get_session()
        session.head(library("huggingface_hub.constants").ENDPOINT, timeout=10)
    except Exception:  # noqa: BLE001 - the library's versions have different clients, with errors of their own
        return False
    return True


def _undamaged(path: Path, where: str) -> Path:
    """The file of a hub snapshot. Raises HarnessError when the blob behind it is not what its name, a sha256, says."""
    blob = path.resolve()
    if _SHA256.fullmatch(blob.name) and file_sha256(blob) != blob.name:
        raise HarnessError(
            f"{where}: {blob} is damaged: its sha256 is not its name.\n     delete it and fetch it again"
        )
    return path


def _reason(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
