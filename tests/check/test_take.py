"""Records to a baseline."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.check import Rule, take
from tests.report.lab import Lab

T, F = True, False


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "store")
    lab.data()
    for name in ("plain", "batch"):
        lab.model(name)
        lab.judge_clean(name, [T, T, T, F])
    lab.attack("plain", "plain", [T, F, F, F])
    lab.attack("plain", "batch", [T, T, F, F], seed=7)
    lab.attack("batch", "batch", None)
    return lab


def test_every_record_becomes_a_cell_under_the_suites_names(lab: Lab) -> None:
    made, missing = take(lab.cells(), lab.store, Rule())
    cells = {(one.name.mode, one.name.surrogate, one.name.target): one for one in made.cells}
    assert list(cells) == [
        ("clean", "plain", "plain"), ("clean", "batch", "batch"), ("whitebox", "plain", "plain"),
        ("transfer", "plain", "batch"),
    ]  # fmt: skip
    assert [name.target for name in missing] == ["batch"]
    assert list(missing.values()) == ["not run"]
    assert cells["transfer", "plain", "batch"].name.seed == 7


def test_clean_cells_keep_who_is_right_when_clean_and_others_who_is_right_under_attack(lab: Lab) -> None:
    made, _ = take(lab.cells(), lab.store, Rule())
    verdicts = [made.verdicts(one).tolist() for one in made.cells]
    assert verdicts == [[T, T, T, F], [T, T, T, F], [T, F, F, F], [T, T, F, F]]
    assert made.images_of(made.cells[0]).positions.tolist() == [3, 13, 23, 33]
    assert list(made.images) == ["Digits"]


def test_a_baseline_names_models_and_environments_once(lab: Lab) -> None:
    made, _ = take(lab.cells(), lab.store, Rule(tolerance=1.0))
    assert {fingerprint.rstrip("_"): id for fingerprint, id in made.models.items()} == {
        "plain": "zoo:plain", "batch": "zoo:batch",
    }  # fmt: skip
    assert len(made.environments) == 1
    assert made.rule == Rule(tolerance=1.0)


def test_a_cell_that_failed_says_how(lab: Lab) -> None:
    cell = lab.attack("plain", "plain", None, attack="CW")
    lab.store.fail(cell.id, "LookupError: no gradients\nanywhere\n\nTraceback (most recent call last):\n  ...")
    missing = take(lab.cells(), lab.store, Rule()).missing
    assert sorted(missing.values()) == ["failed: LookupError: no gradients", "not run"]
