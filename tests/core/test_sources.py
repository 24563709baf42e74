"""The source files that take part in what a module does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.sources import sources_sha256

FILES = {
    "yours/__init__.py": "",
    "yours/models.py": "import torch\nimport numpy\nfrom . import layers\nfrom yours.deep.settings import WIDTH\n",
    "yours/layers.py": "def build():\n    from .late import activation\n    return activation\n",
    "yours/late.py": "activation = 'relu'\n",
    "yours/deep/__init__.py": "DEPTH = 3\n",
    "yours/deep/settings.py": "WIDTH = 8\n",
    "yours/apart.py": "unused = True\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    importlib.import_module("yours.models")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "yours"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("yours/models.py", True), ("yours/layers.py", True), ("yours/deep/settings.py", True),
        ("yours/deep/__init__.py", True), ("yours/late.py", True), ("yours/apart.py", False),
    ],
)  # fmt: skip
def test_everything_that_is_imported_counts_wherever_it_is_imported(changed: str, counts: bool, package: Path) -> None:
    before = sources_sha256(["yours.models"])
    (package / changed).write_text(FILES[changed] + "\nchanged = True\n", encoding="utf-8")
    assert (sources_sha256(["yours.models"]) != before) is counts


def test_neither_installed_packages_nor_ours_count_where_they_are_imported(package: Path) -> None:
    lonely = package / "yours" / "apart.py"
    importlib.import_module("yours.apart")
    alone = sources_sha256(["yours.apart"])
    text = lonely.read_text(encoding="utf-8")
    lonely.write_text("import numpy, torch, harness, json, pytest\n" + text, encoding="utf-8")
    with_imports = sources_sha256(["yours.apart"])
    assert sources_sha256(["yours.apart", "torch.nn", "harness.models"]) == with_imports != alone
    assert sources_sha256(["numpy"]) == sources_sha256(["numpy"]) != sources_sha256([])


def test_modules_that_import_each_other_and_files_that_do_not_parse_are_no_trouble(package: Path) -> None:
    (package / "yours" / "late.py").write_text("from . import layers\n", encoding="utf-8")
    assert sources_sha256(["yours.models"])
    (package / "yours" / "late.py").write_text("def (\n", encoding="utf-8")
    assert sources_sha256(["yours.models"])
