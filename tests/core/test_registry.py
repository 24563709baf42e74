"""One registry for every kind of thing: names are found by scanning, looked up strictly, and never taken twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Literal

import pytest

from harness.core.errors import HarnessError
from harness.core.registry import Registry, first_line, parameters_of

Package = Callable[..., Registry[object]]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Makes a package of things, one module each, and its registry."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(**modules: str) -> Registry[object]:
        folder = tmp_path / "things_of_tests"
        folder.mkdir()
        (folder / "__init__.py").write_text(
            "from harness.core.registry import Registry\nTHINGS = Registry('small thing', package=__name__)\n"
        )
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(f"from things_of_tests import THINGS\n{source}\n")
        invalidate_caches()
        import things_of_tests  # type: ignore[import-not-found]

        return things_of_tests.THINGS  # type: ignore[no-any-return]

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] in ("things_of_tests", "plugin_of_tests")]:
        del sys.modules[name]


def test_a_thing_in_a_module_of_the_package_is_found_without_a_list(package: Package) -> None:
    things = package(one="THINGS.add('first', 1)", two="THINGS.add('second', 2)")
    assert things.names() == ["first", "second"]
    assert (things.get("first"), things.get("second")) == (1, 2)
    assert "first" in things
    assert "third" not in things


def test_modules_are_imported_on_the_first_look_and_once(package: Package) -> None:
    things = package(one="import things_of_tests\nthings_of_tests.count = getattr(things_of_tests, 'count', 0) + 1")
    module = sys.modules["things_of_tests"]
    assert not hasattr(module, "count")
    things.names()
    things.names()
    assert module.count == 1


def test_the_decorator_registers_and_hands_back_what_it_decorates() -> None:
    things: Registry[Callable[[], int]] = Registry("thing", package="json")

    @things.register("seven")
    def seven() -> int:
        return 7

    assert things.get("seven") is seven
    assert seven() == 7


def test_a_name_is_not_taken_twice() -> None:
    things: Registry[int] = Registry("thing", package="json")
    things.add("one", 1)
    with pytest.raises(ValueError, match='thing "one" is already registered'):
        things.add("one", 1)


def test_an_unknown_name_is_met_with_the_nearest_ones_and_how_to_add_one(package: Package) -> None:
    things = package(one="THINGS.add('mi-fgsm', 1)\nTHINGS.add('di-fgsm', 2)\nTHINGS.add('pgd', 3)")
    with pytest.raises(HarnessError) as raised:
        things.get("mi_fgsm")
    assert str(raised.value) == (
        'small thing "mi_fgsm" is not registered.\n     did you mean: mi-fgsm, di-fgsm?\n'
        "     to add one, write a module in things_of_tests/"
    )


def install(folder: Path, source: str) -> None:
    """A distribution with an entry point for small things, as pip would lay it out."""
    (folder / "plugin_of_tests.py").write_text(source)
    information = folder / "plugin_of_tests-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-of-tests\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[harness.small_things]\nmine = plugin_of_tests\n")


def test_installed_plugins_register_themselves(package: Package, tmp_path: Path) -> None:
    install(tmp_path, "from things_of_tests import THINGS\nTHINGS.add('theirs', 4)\n")
    things = package(one="THINGS.add('ours', 1)")
    assert things.names() == ["ours", "theirs"]


def test_a_plugin_that_cannot_be_loaded_is_named(package: Package, tmp_path: Path) -> None:
    install(tmp_path, "import a_module_that_is_not_there\n")
    with pytest.raises(
        HarnessError, match=r"the plugin mine \(plugin_of_tests\) cannot be loaded: ModuleNotFoundError"
    ):
        package().names()


def test_parameters_come_with_their_defaults_and_evaluated_annotations() -> None:
    def factory(steps: int = 10, loss: Literal["margin"] = "margin") -> None: ...

    parameters = parameters_of(factory)
    assert {name: parameter.default for name, parameter in parameters.items()} == {"steps": 10, "loss": "margin"}
    assert [parameter.annotation for parameter in parameters.values()] == [int, Literal["margin"]]


def test_a_summary_is_the_first_line_of_the_docstring_or_nothing() -> None:
    def documented() -> None:
        """One line.

        And another.
        """

    assert first_line(documented) == "One line."
    assert first_line(lambda: None) == ""
