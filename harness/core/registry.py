"""One registry class, one lookup, strict.

The package that owns a registry is scanned on the first lookup, so that a new file is found without editing a list.
Installed plugins are found through the entry-point group `harness.<kind>s` (a module to import, which registers
itself).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from harness.core.errors import HarnessError, did_you_mean, in_one_line

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind (attacks, data sets, model sources, networks)."""

    def __init__(self, kind: str, package: str) -> None:
        """`package` is the dotted name of the package that is scanned for registrations."""
        self.kind = kind
        self.package = package
        self._entries: dict[str, T] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a thing under a name. Raises ValueError when the name is taken by another thing."""

        def decorate(entry: T) -> T:
            self.add(name, entry)
            return entry

        return decorate

    def add(self, name: str, entry: T) -> None:
        """File `entry` under `name`. Raises ValueError when the name is taken."""
        if name in self._entries:
            raise ValueError(f'{self.kind} "{name}" is already registered')
        self._entries[name] = entry

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._scan()
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether the name is registered."""
        self._scan()
        return name in self._entries

    def get(self, name: str) -> T:
        """The thing under a name. Raises HarnessError with suggestions for an unknown one."""
        self._scan()
        if name not in self._entries:
            raise HarnessError(
                f'{self.kind} "{name}" is not registered.\n     {did_you_mean(name, self._entries)}\n'
                f"     to add one, write a module in {self.package.replace('.', '/')}/"
            )
        return self._entries[name]

    def _scan(self) -> None:
        if self._scanned:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for plugin in entry_points(group=f"harness.{self.kind.replace(' ', '_')}s"):
            try:
                plugin.load()
            except Exception as error:  # any error of a plugin is for who installed it to read
                reason = f"cannot be loaded: {type(error).__name__}: {in_one_line(error)}"
                raise HarnessError(
                    f"the plugin {plugin.name} ({plugin.value}) {reason}.\n     repair or uninstall it"
                ) from error
        self._scanned = True


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The keyword parameters of a registered callable, with evaluated annotations: these are the TOML keys."""
    return inspect.signature(function, eval_str=True).parameters


def first_line(thing: object) -> str:
    """The first docstring line of a registered thing, for listings."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]
