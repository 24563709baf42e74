"""Weights from the network: cached where torch keeps them, checked, and missed in words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from harness.core.errors import HarnessError
from harness.models import downloads
from harness.models.downloads import fetch_hub, fetch_url, hub_in_reach
from tests.models.server import FileServer, serving

CONTENT = b"some weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as running:
        yield running


def _url(server: FileServer, name: str) -> str:
    return server.url.replace("weights.bin", name)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_a_file_is_fetched_once_into_torchs_cache(server: FileServer, cache: Path) -> None:
    url = _url(server, f"weights-{SHA256[:8]}.pth")
    paths = [fetch_url(url, "x") for _ in range(2)]
    assert paths == [cache / f"weights-{SHA256[:8]}.pth"] * 2
    assert paths[0].read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_query_is_no_part_of_the_files_name(server: FileServer, cache: Path) -> None:
    assert fetch_url(f"{server.url}?token=1", "x") == cache / "weights.bin"


def test_the_hash_in_the_name_is_held_against_the_download(server: FileServer, cache: Path) -> None:
    url = _url(server, "weights-00000000.pth")
    with pytest.raises(HarnessError, match="should start with 00000000; it is deleted") as caught:
        fetch_url(url, "x")
    assert f"fetch {url}\n     and put it at {cache / 'weights-00000000.pth'}" in str(caught.value)
    assert not (cache / "weights-00000000.pth").exists()


@pytest.mark.parametrize("name", ["resnet50-20210831.pth", "vit-19991231.bin"])
def test_a_date_in_the_name_is_no_hash(server: FileServer, cache: Path, name: str) -> None:
    assert fetch_url(_url(server, name), "x").read_bytes() == CONTENT
    assert fetch_url(_url(server, name), "x") == cache / name
    with pytest.raises(HarnessError, match="the id says 12345678"):
        fetch_url(_url(server, name), "x", sha256="12345678")


def test_digits_that_are_no_date_are_a_hash(server: FileServer) -> None:
    with pytest.raises(HarnessError, match="should start with 20211331"):
        fetch_url(_url(server, "weights-20211331.pth"), "x")


def test_a_pinned_hash_is_held_against_the_download_and_the_cache(server: FileServer, cache: Path) -> None:
    with pytest.raises(HarnessError, match="should start with 12345678"):
        fetch_url(server.url, "x", sha256="12345678")
    assert fetch_url(server.url, "x", sha256=SHA256).read_bytes() == CONTENT
    with pytest.raises(HarnessError, match=r"damaged or another file.*the id says 12345678"):
        fetch_url(server.url, "x", sha256="12345678")
    assert (cache / "weights.bin").exists()


def test_files_of_one_name_can_be_kept_apart(server: FileServer, cache: Path) -> None:
    assert fetch_url(server.url, "x", folder="apart") == cache / "apart" / "weights.bin"


def test_what_is_not_on_the_server_is_an_error_that_says_so(server: FileServer) -> None:
    server.status = 404
    with pytest.raises(HarnessError, match=r"x: the weights are not on this machine.*404"):
        fetch_url(server.url, "x")


def test_without_network_the_error_says_what_to_fetch_and_where_to_put_it(cache: Path) -> None:
    with serving(b"") as gone:
        url = gone.url
    with pytest.raises(HarnessError, match="cannot be downloaded") as caught:
        fetch_url(url, "x")
    assert f"fetch {url}\n     and put it at {cache / 'weights.bin'}" in str(caught.value)


def test_a_cache_that_cannot_be_written_is_an_error(server: FileServer, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    with pytest.raises(HarnessError, match="cannot be downloaded"):
        fetch_url(server.url, "x")


@pytest.fixture
def no_earlier_try() -> Iterator[None]:
    hub_in_reach.cache_clear()
    yield
    hub_in_reach.cache_clear()


@pytest.mark.usefixtures("no_earlier_try")
def test_a_hub_that_is_out_of_reach_is_tried_once_per_process_and_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tries = []

    class Nowhere:
        def head(self, url: str, timeout: float) -> None:
            tries.append(url)
            raise ConnectionError

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_session", Nowhere)
    for repository in ("someone/model", "someone/other"):
        with pytest.raises(HarnessError, match="the hub is out of reach"):
            fetch_hub(repository, ("model.safetensors", "pytorch_model.bin"), "x")
    assert tries == ["https://huggingface.co"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_earlier_try")
def test_a_hub_that_is_lost_on_the_way_is_not_tried_again_for_the_next_file(monkeypatch: pytest.MonkeyPatch) -> None:
    cache_only = []
    monkeypatch.setattr(downloads, "hub_in_reach", lambda: True)

    def unreachable(*_: object, local_files_only: bool, **__: object) -> str:
        cache_only.append(local_files_only)
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(HarnessError, match="the hub is out of reach"):
        fetch_hub("someone/model", ("model.safetensors", "pytorch_model.bin"), "x")
    assert cache_only == [False, True]
