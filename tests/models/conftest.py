"""Caches, zoo and working directory of every test lie in its own temporary folder; nothing reaches the network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Tensors = dict[str, Tensor]
PlaceInHub = Callable[[str, dict[str, Path]], Path]


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, no network, an empty working directory."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def place_in_torch_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a network's weights where torch.hub would have downloaded those of a torchvision enum member."""

    def place(member: object, network: nn.Module) -> Path:
        checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        torch.save(network.state_dict(), checkpoints / "new.pth")
        digest = hashlib.sha256((checkpoints / "new.pth").read_bytes()).hexdigest()
        file = (checkpoints / "new.pth").rename(checkpoints / f"network-{digest[:8]}.pth")
        monkeypatch.setattr(member.value, "url", f"https://example.org/models/{file.name}")  # type: ignore[attr-defined]
        return file

    return place


@pytest.fixture
def place_in_hub_cache(tmp_path: Path) -> PlaceInHub:
    """Lay out a repository as the Hugging Face cache does: blobs, a snapshot that links to them, a ref."""

    def place(repository: str, files: dict[str, Path]) -> Path:
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        commit = "0" * 40
        snapshot = folder / "snapshots" / commit
        for part in (folder / "blobs", folder / "refs", snapshot):
            part.mkdir(parents=True)
        for name, content in files.items():
            blob = folder / "blobs" / hashlib.sha256(content.read_bytes()).hexdigest()
            content.rename(blob)
            (snapshot / name).symlink_to(blob)
        (folder / "refs" / "main").write_text(commit)
        return snapshot

    return place


@pytest.fixture
def as_safetensors(tmp_path: Path) -> Callable[[nn.Module], Path]:
    """Save a network's state in a safetensors file."""

    def save(network: nn.Module) -> Path:
        path = tmp_path / "saved.safetensors"
        save_file({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, path)
        return path

    return save


@pytest.fixture
def images() -> Tensor:
    """Two images (2, 3, 64, 64) in [0, 1]."""
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def randomize() -> Callable[[nn.Module], nn.Module]:
    """Give every parameter and buffer a value that no initialization gives, and set eval mode."""

    def change(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    tensor.mul_(1 + 0.2 * torch.rand(tensor.shape, generator=generator)).add_(0.01)
        return network.eval()

    return change
