"""Which source files take part in what a module does: its own, and those that it imports from among the user's."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

OURS = ("torch", "harness")
"""Packages whose layers and attacks are what their names and versions say."""


def sources_sha256(names: Iterable[str]) -> str:
    """sha256 over the source of modules, and of all that they import, by themselves or by what they import.

    Installed packages are left out where they are imported, as a version stands for them; so are torch and this one.

    Args:
        names: dotted names of loaded modules.
    """
    digest = hashlib.sha256()
    for name, file in sorted(_reached(names).items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _reached(names: Iterable[str]) -> dict[str, Path]:
    """Source files by module: of the given ones, and of the user's that these reach."""
    found: dict[str, Path] = {}
    waiting = [(name, file) for name in names if (file := _file_of(name))]
    while waiting:
        name, file = waiting.pop()
        if name not in found:
            found[name] = file
            imported = ((other, _file_of(other)) for other in _imports(name, file))
            waiting += [(other, source) for other, source in imported if source and not _is_installed(source)]
    return found


def _file_of(name: str) -> Path | None:
    """The source file of a module that is loaded or could be; None where it has none, and for `OURS`."""
    if name.partition(".")[0] in OURS:
        return None
    module = sys.modules.get(name)
    source = getattr(module, "__file__", None)
    parent = name.rpartition(".")[0]
    if module is None and (not parent or parent in sys.modules):  # else looking for it would import its packages
        try:
            spec = find_spec(name)
        except (ImportError, ValueError, AttributeError):
            spec = None
        source = spec.origin if spec and spec.has_location else None
    file = Path(source) if source else None
    return file if file and file.is_file() else None


def _imports(name: str, file: Path) -> Iterator[str]:
    """The names of all modules that a module may import, wherever in its source it does."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # compiled modules have no source to look into
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            try:
                base = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:
                continue
            yield from _with_packages(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def _is_installed(file: Path) -> bool:
    resolved = file.resolve()
    return any(resolved.is_relative_to(place) for place in _places_of_packages())


@cache
def _places_of_packages() -> tuple[Path, ...]:
    keys = ("stdlib", "platstdlib", "purelib", "platlib")
    places = {Path(sysconfig.get_paths()[key]).resolve() for key in keys}
    # On Debian, and where an environment sees the system's packages, there are several more.
    places |= {Path(entry).resolve() for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    return tuple(places)
