"""The registry of formats: what the gate found to something that prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.check.compare import Check
from harness.core.registry import Registry

if TYPE_CHECKING:
    from rich.console import RenderableType

FORMATS: Registry[Callable[[Check], RenderableType]] = Registry("check format", package="harness.check")
"""Texts are printed as they are."""
