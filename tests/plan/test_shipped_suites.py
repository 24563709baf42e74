"""The suites that come with the project, as far as they can be read without their data."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan.attacks import plan_attacks, plan_threats
from harness.plan.claims import check_claim_facets
from harness.plan.mistakes import Mistakes
from harness.plan.tables import check_facets
from harness.spec import read_suite

SUITES = sorted((Path(__file__).resolve().parents[2] / "suites").glob("*.toml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_attacks_tables_and_claims_of_a_shipped_suite_have_no_mistake(path: Path) -> None:
    reading = read_suite(path)
    mistakes = Mistakes(reading.problems)
    plan_attacks(reading, plan_threats(reading, mistakes), mistakes)
    check_facets(reading, mistakes)
    check_claim_facets(reading, mistakes)
    # The one suite that compares with the official package says that it needs it.
    assert [problem for problem in mistakes.found if "needs the official package" not in problem] == []


def test_implementations_of_a_method_run_under_the_same_threat_models() -> None:
    suite = read_suite(next(path for path in SUITES if path.stem == "implementations_cifar10")).suite
    ran: dict[str, list[tuple[object, tuple[str, ...]]]] = {"harness": [], "torchattacks": []}
    for attack in suite.attacks:
        ran[str(attack.facts["implementation"])].append((attack.facts["method"], tuple(attack.threats or ())))
    assert ran["harness"] == ran["torchattacks"]
    assert len(ran["harness"]) == 10
