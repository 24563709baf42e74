"""Libraries that only some commands need, imported when they are."""

from __future__ import annotations

import importlib
from typing import Any

from harness.core.errors import HarnessError


def library(name: str) -> Any:
    """An optional library (Any: most ship no types). Raises HarnessError with the install command."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name != package:
            raise
        raise HarnessError(f"{package} is not installed.\n     pip install {package}") from None
