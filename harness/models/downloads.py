"""Weights from the network, kept in the caches that torch and Hugging Face keep them in anyway.

A machine without network uses the same caches: the errors say which file to fetch elsewhere and where to put it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch

from harness.core.errors import HarnessError
from harness.core.libraries import library
from harness.models.card import file_sha256

_HASH = re.compile(r"-([0-9a-f]{8,})\.")
"""torch.hub's naming convention: the first digits of a file's sha256 stand in its name."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
"""The name of a large file in the Hugging Face cache."""


def fetch_url(url: str, where: str) -> Path:
    """The file of a URL, from torch.hub's cache or else downloaded into it, with its hash checked either way.

    Raises:
        HarnessError: when it cannot be downloaded, or its content does not have the hash that its name promises.
    """
    path = Path(torch.hub.get_dir()).expanduser() / "checkpoints" / Path(urlparse(url).path).name
    promised = _HASH.search(path.name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), promised[1] if promised else None, progress=True)
        except (OSError, HTTPException, RuntimeError) as error:
            raise HarnessError(
                f"{where}: the weights are not on this machine and cannot be downloaded ({_reason(error)}).\n"
                f"     fetch {url}\n     and put it at {path}"
            ) from error
    found = file_sha256(path)
    if promised and not found.startswith(promised[1]):
        raise HarnessError(
            f"{where}: {path} is damaged or another file: its sha256 starts with {found[:8]}, its name says "
            f"{promised[1]}.\n     delete it, and run again or fetch it from {url}"
        )
    return path


def fetch_hub(repository: str, files: Sequence[str], where: str, *, beside: Sequence[str] = ()) -> Path:
    """The first of `files` that a Hugging Face repository ("user/name", or "user/name@revision") has.

    `beside` are files that will be wanted next; they stand in the error's command too.

    Raises:
        HarnessError: when it is neither in the cache nor to be had, or the repository has none of the files.
    """
    hub, errors = library("huggingface_hub"), library("huggingface_hub.errors")
    name, _, revision = repository.partition("@")
    reason = "the repository has no such file"
    for file in files:
        try:
            return _undamaged(Path(hub.hf_hub_download(name, file, revision=revision or None)), where)
        except errors.LocalEntryNotFoundError:
            reason = "not in the cache, and the hub is out of reach"
        except errors.EntryNotFoundError:
            continue
        except (OSError, errors.HFValidationError) as error:
            reason = _reason(error)
            break
    cache = Path(library("huggingface_hub.constants").HF_HUB_CACHE)
    folder = cache / f"models--{name.replace('/', '--')}"
    option = f" --revision {revision}" if revision else ""
    raise HarnessError(
        f"{where}: {' or '.join(files)} of the Hugging Face repository {name} cannot be had ({reason}).\n"
        f"     on a machine with network: hf download {name} {' '.join([files[0], *beside])}{option}\n"
        f"     then copy its folder {folder.name} into {cache}; the file belongs at\n"
        f"     {folder / 'snapshots' / '<commit>' / files[0]},\n"
        f"     with the commit's id in {folder / 'refs' / (revision or 'main')}"
    )


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
