"""Python in a process of its own."""

from __future__ import annotations

import subprocess
import sys


def in_a_fresh_process(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run source that has nothing loaded yet."""
    return subprocess.run([sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=False)
