"""Cards: what people write above `[result]` stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.core.cards import card_directories, cards_in, find_card, read_card, write_result
from harness.core.errors import HarnessError
from harness.core.validation import Closed


class Tiny(Closed):
    """A card with one key."""

    summary: str
    result: dict[str, Any] = {}


def test_where_the_variable_says_comes_before_the_working_directory(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("named", "things"):
        (workplace / folder).mkdir()
        (workplace / folder / "both.toml").touch()
    (workplace / "things" / "alone.toml").touch()
    monkeypatch.setenv("THINGS", "named")
    directories = card_directories("things", "THINGS")
    assert directories == [workplace / "named", workplace / "things"]
    assert cards_in(directories) == {"both": directories[0] / "both.toml", "alone": directories[1] / "alone.toml"}


def test_cards_in_folders_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "family" / "deeper").mkdir(parents=True)
    for file in ("b", "family/a", "family/b", "family/deeper/c"):
        (tmp_path / f"{file}.toml").touch()
    assert cards_in([tmp_path]) == {"a": tmp_path / "family" / "a.toml", "b": tmp_path / "b.toml"}


def test_a_card_comes_before_one_of_its_name_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "above").mkdir()
    for file in ("tiny", "above/tiny"):
        (tmp_path / f"{file}.toml").touch()
    assert cards_in([tmp_path]) == {"tiny": tmp_path / "tiny.toml"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extend = "missing.toml"', 'extend = "missing.toml": there is no file'),
        ('extend = "tiny.toml"', "a card cannot extend itself: .*tiny.toml -> .*tiny.toml"),
        ("extend = 1", 'write the path of one card file, such as "base.toml"'),
        ('extend = "broken.toml"', "broken.toml cannot be read as TOML"),
    ],
)
def test_a_card_that_extends_no_card_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(text)
    (tmp_path / "broken.toml").write_text("summary = ")
    with pytest.raises(HarnessError, match=message):
        read_card(tmp_path / "tiny.toml", Tiny)


def test_a_card_is_found_by_name_and_by_file(workplace: Path) -> None:
    file = workplace / "tiny.toml"
    file.touch()
    known = {"tiny": file, "tiny-0.5": file}
    assert {find_card(name, known, "thing") for name in ("tiny", "tiny-0.5", str(file))} == {file}
    with pytest.raises(HarnessError, match='there is no thing "tinny".\n     did you mean: tiny'):
        find_card("tinny", known, "thing")


def test_a_file_that_does_not_exist_is_not_taken_for_a_name(workplace: Path) -> None:
    with pytest.raises(HarnessError, match=r"there is no file elsewhere/tiny.toml.\n     did you mean: tiny\?"):
        find_card("elsewhere/tiny.toml", {"tiny": workplace / "tiny.toml"}, "thing")


@pytest.mark.parametrize("below", ["\n[more]\nkey = 1\n", "\n[[more]]\n"])
def test_what_stands_below_the_result_is_refused_because_it_would_be_lost(below: str, tmp_path: Path) -> None:
    card = tmp_path / "tiny.toml"
    card.write_text('summary = "s"\n[result]\nvalue = 1\n' + below)
    with pytest.raises(HarnessError, match=r"tiny.toml: what stands below \[result\] would be lost"):
        read_card(card, Tiny)


@pytest.mark.parametrize("below", ["\n# a comment\n", "\n[result.more]\nkey = 1\n"])
def test_what_belongs_to_the_result_may_stand_below_it(below: str, tmp_path: Path) -> None:
    card = tmp_path / "tiny.toml"
    card.write_text('summary = "s"\n[result]\nvalue = 1\n' + below)
    assert read_card(card, Tiny).result["value"] == 1


def test_a_result_is_read_back_and_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    card, above = tmp_path / "tiny.toml", '# above\nsummary = "s"  # beside\n'
    card.write_text(above)
    for value in (0.1 + 0.2, 1e-7):
        write_result(card, {"value": value}, "extract")
        assert card.read_text().startswith(
            above + "\n# Written by `harness extract`; not meant to be edited.\n[result]\n"
        )
        assert read_card(card, Tiny).result == {"value": value}
    assert card.read_text().count("[result]") == 1


def test_mistakes_name_file_and_key(tmp_path: Path) -> None:
    card = tmp_path / "tiny.toml"
    card.write_text('sumary = "s"')
    with pytest.raises(HarnessError, match=r"tiny.toml: 2 mistakes(.|\n)*did you mean: summary"):
        read_card(card, Tiny)
