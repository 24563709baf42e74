"""`harness check SUITE --baseline FILE`: the regression gate."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console, RenderableType

from harness.cells import read_cells
from harness.check import FORMATS, Baseline, Check, Rule, compare, read_baseline, take, write_baseline
from harness.check.compare import EXIT_INCOMPLETE
from harness.check.take import Taken
from harness.commands.console import WIDE, counted, stderr, stdout
from harness.commands.overriding import changed_since, check_overrides
from harness.core.errors import HarnessError
from harness.core.validation import explain
from harness.spec import load_suite
from harness.store import Store
from harness.store.files import write_text


def check(
    suite: str,
    *,
    baseline: str,
    update: bool,
    overrides: Sequence[str],
    store: str | None,
    formats: Sequence[str],
    level: float | None,
    tolerance: float | None,
) -> int:
    """Compare a suite's records with a baseline, or make them the baseline; returns the exit code."""
    places = [places_of(text) for text in formats]
    path, records = Path(baseline), Store(store)
    spec = load_suite(suite, overrides)
    old = read_baseline(path, spec.name, suite) if path.exists() or not update else None
    cells = read_cells(records, spec.name)
    check_overrides(overrides, [cells])
    if change := changed_since(suite, cells):
        raise HarnessError(change)
    given = {key: value for key, value in (("level", level), ("tolerance", tolerance)) if value is not None}
    rule = rule_with(old.rule if old else Rule(), given)
    now = take(cells, records, rule)
    made = None
    if old:
        made = Check(spec.name, baseline, old.written, rule, tuple(compare(old, now, rule)))
        for name, place in places:
            show(FORMATS.get(name)(made), place)
    if not update:
        return made.exit_code if made else 0
    return replace_baseline(path, old, now)


def rule_with(rule: Rule, given: Mapping[str, float]) -> Rule:
    """A rule with what the command says otherwise. Raises HarnessError for a value that no rule can have, like nan."""
    changed = {**rule.model_dump(), **given}
    try:
        return Rule.model_validate(changed)
    except ValidationError as error:
        raise HarnessError(f"--{explain(error, Rule, changed)[0]}") from None


def places_of(text: str) -> tuple[str, Path | None]:
    """A format and where it goes, from "junit=check.xml"; None is standard output. Raises HarnessError when unknown."""
    name, equals, place = text.partition("=")
    FORMATS.get(name)
    if equals and not place:
        raise HarnessError(f"--format {text}: write {name}, or {name}=FILE")
    return name, Path(place) if equals else None


def show(content: RenderableType, place: Path | None) -> None:
    """Print something, or write it. Raises HarnessError when the file cannot be written."""
    if place is None:
        stdout().print(content, soft_wrap=isinstance(content, str))
        return
    if not isinstance(content, str):
        console = Console(file=io.StringIO(), highlight=False, markup=False, emoji=False, width=WIDE)
        with console.capture() as captured:
            console.print(content)
        content = captured.get()
    try:
        write_text(place, content.rstrip("\n") + "\n")
    except OSError as error:
        raise HarnessError(f"{place} cannot be written: {error.strerror}") from None


def replace_baseline(path: Path, old: Baseline | None, now: Taken) -> int:
    """Write a baseline, whole or not at all, and say what changed; returns 1 when records are missing."""
    if now.missing:
        stderr().print(
            f"{path} was not written: {counted(len(now.missing))} without a record; "
            "run the suite to compute what is missing."
        )
        return EXIT_INCOMPLETE
    new = now.baseline
    if old and new.says_the_same_as(old):
        stderr().print(f"{path} is up to date; nothing changed.")
        return 0
    write_baseline(path, new)
    before, after = (one.entries() if one else {} for one in (old, new))
    changed = sum(before[name] != after[name] for name in before.keys() & after.keys())
    new_cells, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    stderr().print(f"{path} written: {counted(len(after))}; {changed} changed, {new_cells} new, {gone} gone.")
    return 0
