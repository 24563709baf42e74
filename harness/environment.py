"""What a record says about where it was computed."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import harness
from harness.core.tf32 import tf32_allowed

PACKAGES = ("torchvision", "timm", "torchattacks", "numpy", "pandas")


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, source commit, platform, device, and on GPUs whether TF32 was allowed for crafting."""
    return {
        "harness": harness.__version__,
        **source_tree(),
        "python": platform.python_version(),
        # torch's own word names the build as well, such as 2.7.0+cu126.
        "packages": {"torch": torch.__version__}
        | {name: installed for name in PACKAGES if (installed := version_of(name))},
        "platform": platform.platform(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        **({"tf32": tf32_allowed()} if device.type == "cuda" else {}),
    }


def version_of(package: str) -> str | None:
    """The installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def device_name(device: torch.device | str) -> str:
    """The name of a GPU, or of the processor."""
    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def source_tree() -> dict[str, Any]:
    """Commit and dirty flag when the package runs from a git checkout of its own."""
    root = Path(harness.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return {}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}
