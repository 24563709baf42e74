"""Suite files: what is one, where it is found, and what it extends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.spec import load_suite

SuiteFile = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.toml", None, 'there is no suite file "missing.toml"'),
        ("quikstart", None, "did you mean: quickstart?"),
        ("broken.toml", b'name = "x', "broken.toml is not valid TOML: "),
        ("twice.toml", b"a = 1\na = 2\n", "at line 2"),
        ("latin1.toml", 'title = "Größe"'.encode("latin-1"), "is not a text file in UTF-8: byte 11 cannot be read"),
        ("picture.toml", b"\x89PNG\r\n\x1a\n\0\0", "is not a text file in UTF-8: byte 0 cannot be read"),
    ],
)
def test_what_is_no_suite_file_is_named(name: str, content: bytes | None, message: str, workplace: Path) -> None:
    if content is not None:
        (workplace / name).write_bytes(content)
    with pytest.raises(HarnessError) as raised:
        load_suite(name)
    assert message in str(raised.value)


def test_a_directory_is_no_suite_file_and_its_suites_are_listed(suite_file: SuiteFile, workplace: Path) -> None:
    suite_file()
    with pytest.raises(HarnessError, match=r"is a directory, not a suite file\.\n     in it: sound\.toml"):
        load_suite(workplace)


def test_a_suite_in_the_working_directory_is_found_by_name(suite_file: SuiteFile, workplace: Path) -> None:
    (workplace / "suites").mkdir()
    suite_file().rename(workplace / "suites" / "sound.toml")
    assert load_suite("sound").name == "sound"


@pytest.fixture
def child(workplace: Path) -> Callable[[str], Path]:
    """Writes a file that extends another."""

    def write(text: str) -> Path:
        (workplace / "child.toml").write_text(text)
        return workplace / "child.toml"

    return write


def test_a_suite_extends_another_table_by_table_and_replaces_lists(
    suite_file: SuiteFile, child: Callable[[str], Path]
) -> None:
    base = load_suite(suite_file())
    path = child('extend = "sound.toml"\nname = "child"\n[dataset]\nsamples = 7\n[[attacks]]\nname = "fgsm"\n')
    suite = load_suite(path)
    assert suite.name == "child"
    assert (suite.datasets[0].id, suite.datasets[0].samples) == ("digits", 7)
    assert [attack.name for attack in suite.attacks] == ["fgsm"]
    assert suite.models == base.models


def test_a_suite_extends_through_several_files(suite_file: SuiteFile, child: Callable[[str], Path]) -> None:
    middle = suite_file().with_name("middle.toml")
    middle.write_text('extend = "sound.toml"\ntitle = "middle"\nseeds = [1]\n')
    suite = load_suite(child('extend = "middle.toml"\nseeds = [2]\n'))
    assert (suite.name, suite.title, suite.seeds) == ("sound", "middle", [2])


def test_a_list_of_threat_models_replaces_the_single_one_of_the_extended_file(
    suite_file: SuiteFile, child: Callable[[str], Path]
) -> None:
    suite_file()
    suite = load_suite(child('extend = "sound.toml"\n[[threats]]\nnorm = "l2"\nepsilon = 1\n'))
    assert [threat.norm for threat in suite.threats] == ["l2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extend = "missing.toml"', 'extend = "missing.toml": there is no file'),
        ('extend = "child.toml"', "a suite cannot extend itself"),
        ('extend = "ring.toml"', "a suite cannot extend itself: .*child.toml -> .*ring.toml -> .*child.toml"),
        ('extend = ["a.toml"]', "write the path of one suite file"),
    ],
)
def test_an_extension_that_leads_nowhere_or_in_a_ring_is_an_error(
    text: str, message: str, child: Callable[[str], Path]
) -> None:
    path = child(text)
    path.with_name("ring.toml").write_text('extend = "child.toml"')
    with pytest.raises(HarnessError, match=message):
        load_suite(path)
