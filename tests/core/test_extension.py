"""Files that extend others."""

from __future__ import annotations

from pathlib import Path

from harness.core.extension import Table, extended, merge_tables


def test_tables_are_merged_key_by_key_and_all_else_is_replaced() -> None:
    base = {"list": [1, 2], "table": {"kept": 1, "changed": 2, "inner": {"a": 1}}, "value": {"b": 1}}
    change = {"list": [3], "table": {"changed": 3, "inner": {"b": 2}}, "value": 4, "new": 5}
    assert merge_tables(base, change) == {
        "list": [3], "table": {"kept": 1, "changed": 3, "inner": {"a": 1, "b": 2}}, "value": 4, "new": 5,
    }  # fmt: skip
    assert base["list"] == [1, 2]


def test_the_nearest_file_has_the_last_word(tmp_path: Path) -> None:
    files: dict[str, Table] = {
        "child": {"extend": "folder/middle", "a": "child"},
        "middle": {"extend": "../root", "a": "middle", "b": "middle"},
        "root": {"a": "root", "b": "root", "c": "root"},
    }
    (tmp_path / "folder").mkdir()
    for name in ("child", "folder/middle", "root"):
        (tmp_path / name).touch()
    found = extended(tmp_path / "child", "thing", lambda path: dict(files[path.name]), merge_tables)
    assert found == {"a": "child", "b": "middle", "c": "root"}
