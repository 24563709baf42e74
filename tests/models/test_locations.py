"""Files of weights on this machine, at URLs and on the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.models.locations import locate
from tests.models.server import serving

Place = Callable[[str, dict[str, Path]], Path]

SHA256 = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.ckpt"
    path.write_bytes(b"weights")
    return path


@pytest.mark.parametrize("pin", ["", f"#sha256={SHA256}", f"#sha256={SHA256[:8]}"])
def test_a_path_is_a_file_of_this_machine(pin: str, file: Path) -> None:
    assert locate(f"{file}{pin}", "x") == (file, "weights.ckpt")


@pytest.mark.parametrize("pin", ["", f"#sha256={SHA256}"])
def test_a_url_is_fetched_and_called_by_its_address(pin: str, tmp_path: Path) -> None:
    with serving(b"weights") as server:
        located = locate(f"{server.url}?token=1{pin}", "x")
        assert located.path.read_bytes() == b"weights"
        assert located.label == server.url
        assert located.path.is_relative_to(tmp_path / "torch" / "hub" / "checkpoints")
        locate(f"{server.url}?token=1{pin}", "x")
        assert len(server.asked) == 1


def test_files_of_one_name_at_two_addresses_are_two_files() -> None:
    with serving(b"weights") as server:
        one = locate(server.url, "x").path
        server.content = b"others"
        other = locate(server.url.replace("some", "other"), "x").path
        assert (one.read_bytes(), other.read_bytes()) == (b"weights", b"others")


def test_a_file_of_the_hub_is_found_in_its_cache(place_in_hub_cache: Place, file: Path) -> None:
    place_in_hub_cache("someone/robust", {"l2.ckpt": file})
    located = locate("hf://someone/robust/l2.ckpt", "x")
    assert located.path.read_bytes() == b"weights"
    assert located.path.suffix == ".ckpt"
    assert located.label == "someone/robust/l2.ckpt"


def test_a_file_of_the_hub_that_is_missing_is_an_error_with_the_command() -> None:
    with pytest.raises(HarnessError, match="hf download someone/robust l2/eps3.ckpt --revision v2"):
        locate("hf://someone/robust@v2/l2/eps3.ckpt", "x")


@pytest.mark.parametrize("place", ["path", "url", "hub"])
def test_a_file_that_is_not_the_pinned_one_is_refused(place: str, place_in_hub_cache: Place, file: Path) -> None:
    if place == "hub":
        place_in_hub_cache("someone/robust", {"l2.ckpt": file})
    with serving(b"weights") as server:
        names = {"path": str(file), "url": server.url, "hub": "hf://someone/robust/l2.ckpt"}
        with pytest.raises(HarnessError, match=r"another file|should start with"):
            locate(f"{names[place]}#sha256=12345678", "x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf://someone/robust", "write hf://USER/REPOSITORY/FILE"),
        ("hf://robust", "write hf://USER/REPOSITORY/FILE"),
        ("s3://bucket/file", '"s3://" is unknown'),
        ("file.pt#sha256=xyz", "first 8 to 64 hexadecimal digits"),
        ("file.pt#sha256=", "first 8 to 64 hexadecimal digits"),
    ],
)
def test_a_place_of_another_form_is_refused(name: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        locate(name, "x")
