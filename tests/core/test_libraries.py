"""Optional libraries."""

from __future__ import annotations

import json

import pytest

from harness.core.errors import HarnessError
from harness.core.libraries import library


def test_a_library_that_is_there_is_the_module_itself() -> None:
    assert library("json") is json


def test_a_missing_library_names_its_install_command() -> None:
    with pytest.raises(HarnessError, match="pip install no_such_library"):
        library("no_such_library.models")
