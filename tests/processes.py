"""Python in a process of its own."""

from __future__ import annotations

import subprocess
import sys

TELLING_WHAT_IT_LOADED = """
import sys
from harness.cli import main
try:
    main()
finally:
    print(sorted({'torch', 'torchvision', 'timm', 'sklearn'} & set(sys.modules)), file=sys.stderr)
"""
"""A command that ends by printing which of the heavy libraries it loaded."""


def in_a_fresh_process(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run source that has nothing loaded yet."""
    return subprocess.run([sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=False)
